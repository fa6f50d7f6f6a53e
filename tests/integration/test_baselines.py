"""A hospital's own baseline: what its patients always were is told no more, what changes after it is."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import msgspec
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from cli.main import cardiosentry
from contracts.alerts import Alert
from contracts.codec import encode
from contracts.detection import Part, Signals
from contracts.heart_disease import HEART_DISEASE
from contracts.releases import BASELINE_TYPE
from contracts.topics import RELEASES, SECURITY_ALERTS, SIGNALS, TOPICS
from models.keyfile import KeyFile
from models.release import sign_baseline
from models.release_log import ReleaseLog
from models.roots import read_root
from models.sealing import load_public_key
from models.sign import PRIVATE_KEY_FILE, generate_signing_key
from models.store import DirectoryStore
from models.trust import payload_type_of
from producers.sign import Signer
from producers.sources import SourceRecord
from producers.synthetic import SyntheticPatients
from stream_app.decode import Decoder
from stream_app.detectors.known import Known
from stream_app.detectors.rules import load_rules
from stream_app.detectors.watch import Watch
from stream_app.loading import Loader
from stream_app.model_slot import ModelSlot
from stream_app.pipeline import EventPipeline
from stream_app.quarantine import PUBLIC_KEY_FILE, Sealer
from stream_app.release_alerts import ReleaseAlerts
from stream_app.release_memory import ReleaseMemory
from stream_app.releases import ReleaseWatcher
from stream_app.shadows import Shadows
from tests.integration.stream import Stream
from tests.stream_app.support import Wire, batch_of, edited
from tests.support.broker import Broker
from tests.support.reading import read_topic
from tests.support.reference import made_up_reference
from tests.support.serving import Serving
from tests.support.site import Site, release
from tests.support.waiting import wait_for

LIVE_S = 20.0
A_SECOND = 40


class Hospital:
    """Signed events of synthetic patients of one site, or of all of them."""

    def __init__(self, site: Site, name: str, seed: int, patients: int = 6000) -> None:
        self._source = SyntheticPatients(pseudonym_key=site.pseudonym_key, seed=seed, patients=patients)
        self._signer = Signer(site.keyring)
        self._name = name

    def events(self, count: int, *, older: int = 0) -> list[SourceRecord]:
        """Return events of now, of patients so many years older than they are."""
        found: list[SourceRecord] = []
        while len(found) < count:
            taken = self._source.take(2 * count, time.time_ns() // 1_000_000)
            found += [record for record in taken if self._name in record.source]
        if older:
            ages = [json.loads(record.value or b"")["features"]["age"] for record in found]
            found = [edited(r, features={"age": min(119, age + older)}) for r, age in zip(found, ages, strict=True)]
        return [
            msgspec.structs.replace(record, headers=self._signer.headers(record.source, record.key, record.value))
            for record in found[:count]
        ]


class System:
    """Fresh topics with a champion on them, and the command."""

    def __init__(self, kafka: Broker, site: Site, directory: Path) -> None:
        self.site = Site(site.bundle, site.keys, directory / "store")
        self.bootstrap, self.prefix = kafka.bootstrap, kafka.topics("baseline")
        self.stream = Stream(kafka, self.prefix)
        if not kafka.real:  # there asking for a topic makes it
            asked = Producer({"bootstrap.servers": self.bootstrap})
            for topic in TOPICS:
                asked.list_topics(self.prefix + topic.name, timeout=10)
        release(self.site, self.bootstrap, self.prefix)

    def run(self, *arguments: str) -> Result:
        environment = {
            "CARDIOSENTRY_BOOTSTRAP": self.bootstrap,
            "CARDIOSENTRY_TOPIC_PREFIX": self.prefix,
            "CARDIOSENTRY_KEYS": str(self.site.keys),
            "CARDIOSENTRY_STORE": str(self.site.store),
        }
        return CliRunner(env=environment).invoke(cardiosentry, arguments)

    def said(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.output

    def statements(self) -> list[bytes]:
        """Return the baselines that stand in model-releases."""
        records = read_topic(self.bootstrap, self.prefix + RELEASES.name, timeout_s=30)
        return [value for each in records if payload_type_of(value := each.value or b"") == BASELINE_TYPE]

    def write(self, record: bytes) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap})
        producer.produce(self.prefix + RELEASES.name, record, partition=0)
        assert producer.flush(10) == 0


@pytest.fixture
def system(kafka: Broker, site: Site, tmp_path: Path) -> System:
    return System(kafka, site, tmp_path)


class Ended(Exception):
    """What ends the thread that follows model-releases: a worker's runs for ever."""


class Worker:
    """What a worker does with events and signals, at a clock of its own; releases reach it through Kafka."""

    def __init__(self, system: System, directory: Path) -> None:
        keys = system.site.keys
        releases = ReleaseLog(read_root(keys))
        self.slot = ModelSlot()
        checks = {"keyring": system.site.keyring, "require_mac": True, "max_future_ms": 10**12}
        sealer = Sealer(load_public_key(keys / PUBLIC_KEY_FILE, "reviewers'"))
        shadows = Shadows(0.0, time.perf_counter, SimpleQueue())
        self._pipeline = EventPipeline(self.slot, shadows, sealer, Known(lambda *_: ()), time.perf_counter)
        self._watch = Watch(load_rules(), lambda: self.slot.models.champion, 30)
        self._now_ms = time.time_ns() // 1_000_000
        self.failures: list[BaseException] = []
        self.alerts: list[bytes] = []
        self._ended = False
        self._watcher = ReleaseWatcher(
            {"bootstrap.servers": system.bootstrap},
            system.prefix + RELEASES.name,
            releases,
            Loader(DirectoryStore(system.site.store), releases, lambda event: Decoder(event, "observed_at", **checks)),  # type: ignore[arg-type]
            self.slot,
            ReleaseAlerts(lambda alert: self.alerts.append(encode(alert)), "test", lambda: self._now_ms),
            self.failures.append,
            self._clock_ms,
            lambda cluster: ReleaseMemory(directory / f"{cluster}.releases"),
            0,
            SimpleQueue(),
        )
        self._watcher.catch_up()

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._watcher.join(10)
        assert [type(each) for each in self.failures] == [Ended]

    def _clock_ms(self) -> int:
        if self._ended:
            raise Ended
        return self._now_ms

    def score(self, events: Sequence[SourceRecord]) -> list[Alert]:
        """Score the events, `A_SECOND` of them a second; return the alerts of drift."""
        found: list[Alert] = []
        for at in range(0, len(events), A_SECOND):
            self._now_ms += 1000
            batch = [Wire(each.key, each.value, each.headers) for each in events[at : at + A_SECOND]]  # type: ignore[arg-type]
            for _, value in self._pipeline(batch_of(batch), self._now_ms).outputs[SIGNALS.name]:
                found += self._watch.see(msgspec.json.decode(value, type=Signals))
        return [alert for alert in found if alert.rule.id == "drift"]

    def wait_for_baseline(self, version: int) -> None:
        def version_now() -> int:
            champion = self.slot.models.champion
            return champion.baseline_version if champion else -1

        wait_for(lambda: version_now() == version, LIVE_S, lambda: f"{version_now()} {self.failures}")


def test_another_site_is_told_until_it_has_a_baseline_and_what_changes_after_it_is_told_again(
    system: System, tmp_path: Path
) -> None:
    with Worker(system, tmp_path) as worker:
        site = system.site
        assert worker.score(Hospital(site, "", seed=21).events(100 * A_SECOND)) == []
        (alert,) = worker.score(Hospital(site, "hungary", seed=22).events(30 * A_SECOND))
        assert "baseline" not in alert.labels

        system.stream.produce(Hospital(site, "hungary", seed=23).events(4000))
        said = system.said("baseline", "--reason", "our first week", "--yes")
        assert "4000 events of" in said
        assert "synthetic/hungary" in said
        assert "ca" in said.partition("unlike the model's own patients")[2].split()  # hardly ever measured there
        worker.wait_for_baseline(1)

        assert worker.score(Hospital(site, "hungary", seed=24).events(200 * A_SECOND)) == []
        (alert,) = worker.score(Hospital(site, "hungary", seed=25).events(60 * A_SECOND, older=8))
        assert alert.labels["baseline"] == "1"
        assert "age" in f"{alert.labels['statistic']} {alert.labels['columns']}"

        system.said("baseline", "--withdraw", "--reason", "a second look")
        worker.wait_for_baseline(0)
        assert worker.score(Hospital(site, "hungary", seed=26).events(100 * A_SECOND)) != []


def test_a_baseline_for_other_features_is_left_aside_and_told(broker: Broker, site: Site, tmp_path: Path) -> None:
    system = System(broker, site, tmp_path)
    with Worker(system, tmp_path) as worker:
        champion = worker.slot.models.champion
        assert champion is not None
        fewer = msgspec.structs.replace(HEART_DISEASE, features=HEART_DISEASE.features[1:], limits=(), needs={})
        key = KeyFile.load(site.keys / PRIVATE_KEY_FILE)
        log = ReleaseLog(read_root(site.keys))
        digest = champion.release.digest
        system.write(sign_baseline(made_up_reference(fewer), digest, log, key, reason="a test", now_ms=1))
        wait_for(lambda: len(worker.alerts) == 1, LIVE_S)
        assert (
            b"baseline 1 of " + digest.encode() + b": expected the features and score of the bundle" in worker.alerts[0]
        )
        assert worker.slot.models.champion is champion
        assert json.loads(worker.alerts[0])["rule"]["id"] == "release-refused"


class Served:
    """A real worker, asked through what it writes."""

    def __init__(self, system: System, directory: Path) -> None:
        self.system = system
        self.hospital = Hospital(system.site, "", seed=31)
        self.serving = Serving(system.site, system.bootstrap, system.prefix, directory / "log", released=True)

    def baseline_of_next_batch(self) -> int:
        """Score a few events; return by which baseline the last part was made."""
        self.system.stream.produce(self.hospital.events(5))
        self.system.stream.wait_until_worked_off(explain=self.serving.text)
        records = read_topic(self.system.bootstrap, self.system.prefix + SIGNALS.name, timeout_s=30)
        parts: list[Part] = [
            part
            for each in records
            if each.key == b"signals" and (part := msgspec.json.decode(each.value or b"", type=Signals).part)
        ]
        return parts[-1].baseline

    def wait_for(self, version: int) -> None:
        wait_for(lambda: self.baseline_of_next_batch() == version, LIVE_S, self.serving.text)

    def refusals(self) -> list[str]:
        records = read_topic(self.system.bootstrap, self.system.prefix + SECURITY_ALERTS.name, timeout_s=30)
        found = [json.loads(record.value or b"") for record in records]
        return [each["message"] for each in found if each["rule"]["id"] == "release-refused"]


@pytest.fixture
def served(system: System, tmp_path: Path) -> Iterator[Served]:
    found = Served(system, tmp_path)
    with found.serving:
        found.serving.start().wait_until_ready()
        yield found
        assert found.serving.exits() == []


def test_a_worker_takes_a_baseline_keeps_it_over_a_restart_and_gives_it_up(
    served: Served, system: System, tmp_path: Path
) -> None:
    system.stream.produce(Hospital(system.site, "", seed=32).events(1500))
    assert served.baseline_of_next_batch() == 0
    system.said("baseline", "--reason", "our first week", "--yes")
    served.wait_for(1)
    served.serving.stop()
    served.serving.start().wait_until_ready()
    assert served.baseline_of_next_batch() == 1

    private, public = generate_signing_key(tmp_path / "pipeline")
    system.said("trust", "add", "pipeline", "--public-key", str(public), "--role", "shadow", "--unattended")
    refused = system.run("baseline", "--withdraw", "--reason", "a test", "--key", str(private))
    assert "expected 1 signers who may release a champion, got 0" in str(refused.exception)

    (first,) = system.statements()
    system.said("baseline", "--withdraw", "--reason", "an attack was learned")
    served.wait_for(0)
    system.write(first.replace(b'"keyid"', b' "keyid"'))  # the same statement in other bytes
    wait_for(lambda: any("expected a version above 2" in said for said in served.refusals()), LIVE_S)
    assert served.baseline_of_next_batch() == 0

    lines = system.said("models", "timeline", "--json").splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]  # what was left out is said too
    assert [row["statement"] for row in rows][-3:] == ["baseline 1", "trust root 2", "baseline 2 withdraws"]
    assert rows[-1]["reason"] == "an attack was learned"


def test_nothing_is_signed_that_was_not_shown_and_confirmed(broker: Broker, site: Site, tmp_path: Path) -> None:
    system = System(broker, site, tmp_path)
    forged = [msgspec.structs.replace(event, headers=[]) for event in Hospital(site, "", seed=35).events(700)]
    good = Hospital(site, "", seed=33).events(900)
    system.stream.produce(Hospital(site, "", seed=36).events(300))
    time.sleep(1.5)
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    system.stream.produce([*good, *good[:50], *forged])
    shown = system.run("baseline", "--reason", "a test", "--from", since).output  # nobody answers
    assert "900 events of" in shown
    assert "of 1650 records, 700 of them refused" in shown
    assert "Aborted" in shown
    assert system.statements() == []


def test_what_cannot_be_learned_is_refused_in_a_sentence(broker: Broker, site: Site, tmp_path: Path) -> None:
    system = System(broker, site, tmp_path)
    system.stream.produce(Hospital(system.site, "", seed=34).events(300))
    assert "at least 500 patients, got 300 events of" in str(system.run("baseline", "--reason", "a test").exception)
    for year in ("2020", "2100"):
        then = ("--from", f"{year}-01-01", "--to", f"{year}-01-02")
        assert "got 0 events of 0" in str(system.run("baseline", "--reason", "a test", *then).exception)
    withdrawn = system.run("baseline", "--withdraw", "--reason", "a test")
    assert "expected a baseline to withdraw, found none" in str(withdrawn.exception)
    assert system.statements() == []
