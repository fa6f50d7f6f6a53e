"""Releases reach a running worker: the champion changes, goes and comes back, and no event is lost or doubled."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from cli.main import cardiosentry
from cli.releasing import announce, read_releases, release_bundle
from contracts.errors import ModelRejected, UserError
from contracts.events import DecodedPrediction
from contracts.releases import Release, Role
from contracts.settings import Settings
from contracts.topics import RELEASES, SECURITY_ALERTS, SHADOW_PREDICTIONS
from models.keyfile import KeyFile
from models.release import listed, sign_release, sign_revocation, sign_rollback
from models.sign import PRIVATE_KEY_FILE, generate_signing_key
from models.train import train_bundle
from models.verify import read_bundle, verify_bundle
from tests.integration.stream import Patients, SteadyLoad, Stream
from tests.support.broker import Broker, create_topics, new_topic
from tests.support.faulty import FaultyProxy, cut, endless
from tests.support.reading import read_topic
from tests.support.s3 import RELEASER, WORKER, S3Server
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

LIVE_S = 20.0
"""A release is live within a second or two on an idle machine."""


@pytest.fixture(scope="module")
def other(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second bundle, of another seed, signed by the same key."""
    bundle = tmp_path_factory.mktemp("other") / "bundle"
    train_bundle(bundle, site.keys / PRIVATE_KEY_FILE, seed=77)
    return bundle


class Running:
    """A worker over fresh topics, with the means to release to it."""

    def __init__(self, kafka: Broker, site: Site, directory: Path, bucket: str = "") -> None:
        self.site = Site(site.bundle, site.keys, directory / "store")
        self.prefix = kafka.topics("release")
        self.stream = Stream(kafka, self.prefix)
        self.bootstrap = kafka.bootstrap
        store = bucket or str(self.site.store)
        self.settings = Settings(bootstrap=kafka.bootstrap, topic_prefix=self.prefix, keys=str(site.keys), store=store)
        self.key = KeyFile.load(site.keys / PRIVATE_KEY_FILE)
        self.patients = Patients(site, seed=4)
        self.serving = Serving(
            self.site, kafka.bootstrap, self.prefix, directory / "log", released=bool(bucket), store=store
        )

    def release(self, bundle: Path, role: Role = "champion") -> str:
        """Release a bundle; return its digest."""
        return release_bundle(self.settings, bundle, role=role, reason="a test", days=30).split()[-1]

    def revoke(self, digest: str) -> None:
        log = read_releases(self.settings)
        announce(self.settings, log, sign_revocation(digest, self.key, reason="a test", now_ms=now_ms()))

    def write(self, record: bytes) -> None:
        """Write a record to model-releases as it is."""
        producer = Producer({"bootstrap.servers": self.bootstrap})
        producer.produce(self.prefix + RELEASES.name, record)
        assert producer.flush(10) == 0

    def champion(self) -> str:
        """Return the digest that the worker says it scores with, empty for none."""
        page = self.serving.get("/metrics")[1]
        lines = [
            line for line in page.splitlines() if line.startswith("cardiosentry_model_info{") and "champion" in line
        ]
        return lines[0].partition('digest="')[2].partition('"')[0] if lines else ""

    def wait_for_champion(self, digest: str) -> None:
        wait_for(lambda: self.champion() == digest, LIVE_S, self.serving.text)

    def score(self, count: int) -> set[str]:
        """Send events and return the digests that scored them."""
        events = self.patients.events(count)
        self.stream.produce(events)
        outputs = self.stream.outputs(explain=self.serving.text)
        assert sorted(outputs.event_ids) == sorted(event.event_id for event in events)
        return {prediction.model.digest for prediction in outputs.predictions}

    def alerts(self) -> list[tuple[str, str]]:
        """Return rule and message of every alert so far."""
        records = read_topic(self.bootstrap, self.prefix + SECURITY_ALERTS.name, timeout_s=30)
        found = [json.loads(record.value or b"") for record in records]
        return [(each["rule"]["id"], each["message"]) for each in found]

    def wait_for_alert(self, rule: str, said: str) -> None:
        wait_for(
            lambda: any(rule == id_ and said in message for id_, message in self.alerts()),
            LIVE_S,
            lambda: f"{rule}: {said}; {self.alerts()}",
        )


@pytest.fixture
def running(kafka: Broker, site: Site, tmp_path: Path) -> Iterator[Running]:
    found = Running(kafka, site, tmp_path)
    with found.serving:
        found.serving.start().wait_until_ready()
        yield found


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_champion_is_replaced_rolled_back_revoked_and_released_again(
    running: Running, site: Site, other: Path
) -> None:
    first = running.champion()
    assert running.score(50) == {first}
    second = running.release(other)
    running.wait_for_champion(second)
    assert running.score(50) == {second}
    log = read_releases(running.settings)
    announce(
        running.settings,
        log,
        sign_rollback(log.releases("champion")[0], log, running.key, reason="a test", now_ms=now_ms(), days=30),
    )
    running.wait_for_champion(first)
    running.release(other)
    running.wait_for_champion(second)
    running.revoke(second)
    running.wait_for_champion(first)
    assert running.score(50) == {first}
    # Without any champion nothing is scored and nothing is lost.
    running.revoke(first)
    running.wait_for_champion("")
    assert running.serving.get("/health/ready") == (503, "no champion released")
    running.wait_for_alert("no-champion", "expected a champion")
    waiting = running.patients.events(20)
    running.stream.produce(waiting)
    third = running.release(retrained(running, 78))
    running.wait_for_champion(third)
    outputs = running.stream.outputs(explain=running.serving.text)
    assert {(p.event_id, p.model.digest) for p in outputs.predictions} == {(e.event_id, third) for e in waiting}
    assert len(outputs.predictions) == len(waiting)
    assert running.serving.exits() == []


def retrained(running: Running, seed: int) -> Path:
    bundle = Path(running.settings.store).parent / f"bundle-{seed}"
    train_bundle(bundle, Path(running.settings.keys) / PRIVATE_KEY_FILE, seed=seed)
    return bundle


def test_the_champion_changes_under_load_and_every_event_is_scored_once(
    running: Running, site: Site, other: Path
) -> None:
    first, second = running.champion(), verify_bundle(other, site.keys / "model-signing.pub").digest
    with SteadyLoad(running.stream, site, 2000) as load:
        for number in range(6):
            time.sleep(0.5)
            running.release(site.bundle if number % 2 else other)
            running.wait_for_champion(first if number % 2 else second)
        load.finish()
    outputs = running.stream.outputs(explain=running.serving.text)
    assert sorted(outputs.event_ids) == sorted(event_id for _, event_id in load.sent)
    assert {prediction.model.digest for prediction in outputs.predictions} == {first, second}
    assert not outputs.quarantined
    assert running.serving.exits() == []


def test_what_is_not_to_be_trusted_changes_nothing_and_is_reported(
    running: Running, site: Site, other: Path, tmp_path: Path
) -> None:
    first = running.champion()
    running.write(b"\x80\x04pickle")
    running.wait_for_alert("release-refused", "expected a signed envelope")
    # Signed as it should be, but the store hands out other bytes.
    second = verify_bundle(other, site.keys / "model-signing.pub").digest
    release_tampered(running, other)
    running.wait_for_alert("release-refused", "got others")
    assert running.champion() == first != second
    assert running.score(20) == {first}


def release_tampered(running: Running, bundle: Path) -> None:
    """Announce a bundle whose model changed on its way into the store."""
    log = read_releases(running.settings)
    files = read_bundle(bundle)
    digest = verify_bundle(bundle, Path(running.settings.keys) / "model-signing.pub").digest
    statement = sign_release(
        listed(files), digest, log, running.key, role="champion", reason="a test", now_ms=now_ms(), days=30
    )
    entry = log.read(statement)
    assert entry
    assert isinstance(entry.statement, Release)
    for file in entry.statement.files:
        place = Path(running.settings.store) / file.sha256[:2] / file.sha256
        place.parent.mkdir(exist_ok=True)
        content = files[file.name]
        place.write_bytes(content if file.name != "model.onnx" else content[:-1] + bytes([content[-1] ^ 1]))
    running.write(statement)


def test_a_bucket_that_cuts_files_short_or_never_ends_them_leaves_the_model_that_scores(
    kafka: Broker, site: Site, other: Path, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act_as(user: str, port: int) -> None:
        for name, value in s3.environment(user, port=port).items():
            monkeypatch.setenv(name, value)

    s3.make_bucket("releases", lock=True)
    running = Running(kafka, site, tmp_path, "s3://releases/models")
    act_as(RELEASER, s3.port)
    first = running.release(site.bundle)
    with FaultyProxy(s3.port) as between, running.serving:
        act_as(WORKER, between.port)
        running.serving.start().wait_until_ready()
        act_as(RELEASER, s3.port)
        between.fault = cut
        second = running.release(other)
        running.wait_for_alert("release-unavailable", "ClientPayloadError")
        assert running.champion() == first
        assert running.score(20) == {first}
        between.fault = None
        running.wait_for_champion(second)
        between.fault = endless(b"200 OK")
        running.release(site.bundle)
        running.wait_for_alert("release-refused", "got others")
        assert running.champion() == second
        assert running.score(20) == {second}
        assert running.serving.exits() == []


def test_of_two_releases_at_the_same_moment_the_second_is_told_that_it_changes_nothing(
    kafka: Broker, site: Site, tmp_path: Path
) -> None:
    running = Running(kafka, site, tmp_path)
    running.release(site.bundle)
    first, second = read_releases(running.settings), read_releases(running.settings)

    (live,) = first.releases("champion")
    sooner, later = (
        sign_rollback(live, first, running.key, reason=reason, now_ms=now_ms(), days=30)
        for reason in ("sooner", "later")
    )
    announce(running.settings, first, sooner)
    with pytest.raises(UserError, match="ours changes nothing: release champion 2: "):
        announce(running.settings, second, later)
    assert [each.reason for each in read_releases(running.settings).releases("champion")] == ["a test", "sooner"]


def test_a_worker_that_starts_late_or_again_ends_on_the_same_model(running: Running, site: Site, other: Path) -> None:
    second = running.release(other)
    running.wait_for_champion(second)
    (worker,) = running.serving.workers()
    worker.kill()
    worker.wait(10)
    running.serving.wait_until_ready()
    assert running.champion() == second
    assert running.score(20) == {second}
    running.serving.stop()
    shutil.rmtree(running.site.store)  # what is not in the store cannot be loaded: the worker waits for it
    running.serving.start()
    running.wait_for_alert("release-unavailable", "expected the file")
    assert running.champion() == ""
    running.release(other)
    running.wait_for_champion(second)


def test_a_shadow_answers_beside_the_champion_and_goes_when_it_is_revoked(running: Running, other: Path) -> None:
    first = running.champion()
    second = running.release(other, role="shadow")
    wait_for(lambda: second in running.serving.get("/metrics")[1], LIVE_S, running.serving.text)
    assert running.champion() == first
    assert running.score(30) == {first}
    records = read_topic(running.bootstrap, running.prefix + SHADOW_PREDICTIONS.name, timeout_s=30)
    found = [msgspec.json.decode(record.value or b"", type=DecodedPrediction) for record in records]
    assert {(prediction.role, prediction.model.digest) for prediction in found} == {("shadow", second)}
    assert len({prediction.event_id for prediction in found}) == len(found) > 0
    running.revoke(second)
    wait_for(lambda: second not in running.serving.get("/metrics")[1], LIVE_S, running.serving.text)
    assert running.score(30) == {first}
    assert len(read_topic(running.bootstrap, running.prefix + SHADOW_PREDICTIONS.name, timeout_s=30)) == len(found)


def test_a_bundle_is_named_by_the_beginning_of_its_digest(
    running: Running, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bootstrap", "topic_prefix", "keys", "store"):
        monkeypatch.setenv(f"CARDIOSENTRY_{name.upper()}", getattr(running.settings, name))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cardiosentry, arguments)

    first = running.champion()
    second = running.release(other)
    running.wait_for_champion(second)
    assert f"released champion 3 {first}, which was version 1" in run("rollback", "--reason", "a test").output
    running.wait_for_champion(first)
    assert "expected a bundle before the live one" in str(run("rollback", "--reason", "a test").exception)
    assert f"champion 4 {second}, which" in run("rollback", "--to", second[:14], "--reason", "a test").output
    running.wait_for_champion(second)
    changes = run("models", "diff", first[:14], second.removeprefix("sha256:")[:8]).output.splitlines()
    assert any(line.startswith("threshold: ") for line in changes)
    assert len(changes) < 60
    assert changes[-1].startswith("reference_statistics: ")
    assert len(run("models", "diff", first, second, "--all").output.splitlines()) > len(changes)
    for text in ("sha256:", "", "0" * 10, f"{second}0", "Ada"):
        refused = run("revoke", text, "--reason", "a test")
        assert "expected the digest of one bundle that was released" in str(refused.exception), text
    assert "expected the digest of one" in str(run("rollback", "--to", "", "--reason", "a test").exception)
    assert "found none" in str(run("models", "timeline", "0" * 10).exception)
    assert f"revoked {second}" in run("revoke", second[7:15], "--reason", "a test").output
    running.wait_for_champion(first)
    refused = run("rollback", "--to", second[:14], "--reason", "a test")
    assert f"expected {second} among its releases that are not revoked" in str(refused.exception)


def test_signers_come_and_go_without_a_restart(
    running: Running, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDIOSENTRY_BOOTSTRAP", running.bootstrap)
    monkeypatch.setenv("CARDIOSENTRY_TOPIC_PREFIX", running.prefix)
    monkeypatch.setenv("CARDIOSENTRY_KEYS", running.settings.keys)

    def trust(*arguments: str) -> str:
        done = CliRunner().invoke(cardiosentry, ["trust", *arguments])
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.output

    private, public = generate_signing_key(tmp_path / "pipeline")
    first = running.champion()
    trust("add", "pipeline", "--public-key", str(public), "--role", "shadow", "--unattended")
    assert "pipeline" in trust("show")

    def release_as_pipeline(role: Role) -> str:
        said = release_bundle(running.settings, other, role=role, reason="a test", days=30, key=private)
        return said.split()[-1]

    second = release_as_pipeline("shadow")
    wait_for(lambda: second in running.serving.get("/metrics")[1], LIVE_S, running.serving.text)
    with pytest.raises(ModelRejected, match="expected 1 signers who may release a champion, got 0"):
        release_as_pipeline("champion")
    trust("remove", "pipeline")
    with pytest.raises(ModelRejected, match="expected a signature by a signer of the trust root"):
        release_as_pipeline("shadow")
    assert running.champion() == first
    assert running.serving.exits() == []


def test_a_champion_waits_for_as_many_signers_as_the_trust_root_wants(
    running: Running, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("BOOTSTRAP", running.bootstrap), ("TOPIC_PREFIX", running.prefix)):
        monkeypatch.setenv("CARDIOSENTRY_" + name, value)
    monkeypatch.setenv("CARDIOSENTRY_KEYS", running.settings.keys)
    monkeypatch.setenv("CARDIOSENTRY_STORE", running.settings.store)

    def run(*arguments: str, fails: bool = False) -> str:
        done = CliRunner().invoke(cardiosentry, arguments)
        assert (done.exit_code != 0) == fails, done.output + str(done.exception)
        return done.output + str(done.exception or "")

    first = running.champion()
    bob, public = generate_signing_key(tmp_path / "bob")
    run("trust", "add", "Bob", "--public-key", str(public), "--role", "champion", "--signs-roots")
    run("trust", "threshold", "champion", "2")
    said = run("release", str(other), "--role", "champion", "--reason", "a test")
    assert "expected 2 signers who may release a champion, got 1" in said
    assert "approve champion-2.statement.json" in said
    approval = ("approve", "champion-2.statement.json", "--yes")
    assert "got 1" in run(*approval)  # the same signer again counts once
    assert "Aborted" in CliRunner().invoke(cardiosentry, ["approve", "champion-2.statement.json"], input="n\n").output
    assert running.champion() == first
    shown = run(*approval, "--key", str(bob))
    owner = shown.partition("signed by: ")[2].split()[0]
    assert '"reason": "a test"' in shown
    second = str(read_releases(running.settings).candidates("champion", now_ms=now_ms())[0].digest)
    running.wait_for_champion(second)

    run("trust", "threshold", "roots", "2")  # the new root wants two already
    run("approve", "trust-root-4.statement.json", "--yes", "--key", str(bob))
    run("trust", "remove", "Bob", fails=True)  # too few would be left
    assert running.score(20) == {second}
    assert f"Bob, {owner}" in run("models", "timeline")
    listed = run("models", "list")
    assert "champion 2" in listed
    assert "partition" in listed
    moves = [json.loads(line) for line in run("models", "timeline", second, "--json").splitlines()]
    assert [(move["from"], move["to"]) for move in moves] == [("", "stored"), ("stored", "champion")]


def test_deleting_records_brings_no_older_model_back(running: Running, site: Site, other: Path) -> None:
    first = running.champion()
    second = running.release(other)
    running.wait_for_champion(second)
    running.revoke(first)
    running.serving.stop()
    topic = running.prefix + RELEASES.name
    admin = AdminClient({"bootstrap.servers": running.bootstrap})
    for deleted in admin.delete_topics([topic]).values():
        deleted.result(30)
    create_topics(running.bootstrap, [new_topic(RELEASES, running.prefix, 1)])
    # Only the first champion's release is left, validly signed, and no revocation.
    release_bundle(running.settings, site.bundle, role="champion", reason="an old record", days=30)
    running.serving.start().wait_until_ready()
    running.wait_for_alert("release-log-cut", "some were deleted")
    assert running.champion() == second
    assert running.score(20) == {second}
