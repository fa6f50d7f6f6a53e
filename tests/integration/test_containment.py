"""`cardiosentry contain` on a real Kafka: workers obey within seconds, nothing is lost, and all of it is audited."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.learning import learn, live_champion
from cli.main import cardiosentry
from cli.releasing import read_releases
from cli.retrain import EXIT_REFUSED
from contracts.errors import UserError
from contracts.reasons import Reason
from contracts.settings import Settings
from producers.sources import SourceRecord
from tests.integration.stream import Patients, Stream
from tests.support.broker import Broker
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

OBEYED_S = 30.0


class System:
    """A worker, its stream and the commands of whoever is on duty."""

    def __init__(self, kafka: Broker, site: Site, directory: Path) -> None:
        prefix = kafka.topics("contain")
        own = Site(site.bundle, site.keys, directory / "store")
        self.stream, self.patients, self.site = Stream(kafka, prefix), Patients(own, seed=5), own
        self.serving = Serving(own, kafka.bootstrap, prefix, directory / "log")
        self.settings = Settings(
            bootstrap=kafka.bootstrap, topic_prefix=prefix, keys=str(own.keys), store=str(own.store)
        )
        self.options = ("--bootstrap", kafka.bootstrap, "--topic-prefix", prefix, "--keys", str(own.keys))

    def said(self, *arguments: str) -> str:
        done = CliRunner().invoke(cardiosentry, [*arguments, *self.options])
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.output

    def contain(self, *arguments: str) -> None:
        """Announce a measure and wait until the worker has read it."""
        read = self.serving.text().count("release log offset=")
        self.said("contain", *arguments, "--reason", "a test")
        wait_for(lambda: self.serving.text().count("release log offset=") > read, OBEYED_S, self.serving.text)

    def learned(self) -> set[str]:
        """Return the sites of whose events a baseline would be made."""
        champion = live_champion(self.settings, read_releases(self.settings))
        learned = learn(self.settings, champion, 0, time.time_ns() // 1_000_000)
        assert learned.read == len(learned.events) + learned.refused
        return {source.split("/")[1] for source in learned.events.sources.astype(str)}

    def collected(self, runs: Path) -> dict[str, int]:
        """Return what a retrain says of its collection, which has too few rows to go on."""
        arguments = ("retrain", "--runs", str(runs), "--store", self.settings.store, *self.options)
        done = CliRunner().invoke(cardiosentry, arguments)
        assert done.exit_code == EXIT_REFUSED, done.output + str(done.exception)
        (account,) = runs.glob("*/collect/report.json")
        facts: dict[str, int] = json.loads(account.read_bytes())["report"]["facts"]
        return facts

    def score(self) -> dict[str, set[str]]:
        """Send events of every site; return the sites that were scored and, by reason, those in quarantine."""
        events = self.patients.events(200)
        places = self.stream.produce(events)
        out = self.stream.outputs(explain=self.serving.text)
        at = dict(zip(places, events, strict=True))
        scored = {event.event_id: event for event in events}
        assert len(out.predictions) + len(out.quarantined) == len(events)
        found = {"scored": {site_of(scored[each]) for each in out.event_ids}}
        for origin, reason in out.reasons.items():
            found.setdefault(reason, set()).add(site_of(at[origin]))
        return found


def site_of(record: SourceRecord) -> str:
    return record.source.split("/")[1]


@pytest.fixture
def system(kafka: Broker, site: Site, tmp_path: Path) -> Iterator[System]:
    found = System(kafka, site, tmp_path)
    with found.serving:
        found.serving.start().wait_until_ready()
        yield found


def test_a_source_is_blocked_and_its_key_revoked_within_seconds_and_taken_back(system: System) -> None:
    everything = {"scored": {"cleveland", "hungary", "switzerland", "long-beach"}}
    assert system.score() == everything
    system.contain("block", "synthetic/hungary")
    assert system.score() == {"scored": everything["scored"] - {"hungary"}, Reason.BLOCKED: {"hungary"}}
    system.contain("unblock", "synthetic/hungary")
    assert system.score() == everything
    key = system.site.keyring.key_for("synthetic").key_id
    system.contain("revoke-key", key)
    assert key in system.said("contain", "list")
    assert system.score() == {"scored": set(), Reason.BLOCKED: everything["scored"]}
    system.contain("restore-key", key)
    assert system.score() == everything
    assert system.said("contain", "list").count("synthetic") == 0

    trail = [json.loads(line) for line in system.said("models", "timeline", "--json").splitlines()]
    assert [each["statement"] for each in trail][-4:] == [
        "block-source synthetic/hungary",
        "end of block-source synthetic/hungary",
        f"revoke-key {key}",
        f"end of revoke-key {key}",
    ]
    assert all(each["signed by"] and each["reason"] == "a test" for each in trail[-4:])


def test_nothing_is_learned_of_what_is_contained_even_if_it_was_scored_before(system: System, tmp_path: Path) -> None:
    system.score()
    assert system.learned() == {"cleveland", "hungary", "switzerland", "long-beach"}
    system.contain("block", "synthetic/hungary")
    assert system.learned() == {"cleveland", "switzerland", "long-beach"}
    assert 0 < system.collected(tmp_path / "runs")["left out of patient-events, blocked"] < 200
    system.contain("revoke-key", system.site.keyring.key_for("synthetic").key_id)
    assert system.learned() == set()
    assert system.collected(tmp_path / "more runs")["left out of patient-events, blocked"] == 200


def test_whoever_unblocks_a_source_is_told_what_still_blocks_it_or_what_is_below_it(system: System) -> None:
    hungary, site = ("synthetic/hungary", "--reason", "a pump"), ("synthetic", "--reason", "a theft")
    system.said("contain", "block", *site)
    system.said("contain", "block", *hungary)
    for already in ("lifted", "not in force already"):
        done = CliRunner().invoke(cardiosentry, ["contain", "unblock", *hungary, *system.options])
        assert already in done.output
        assert isinstance(done.exception, UserError), "it is not scored, so this is no success"
        said = str(done.exception)
        assert said.startswith("synthetic/hungary stays blocked: all of synthetic is blocked by ")
        assert "(a theft)" in said
        assert said.endswith("`cardiosentry contain unblock synthetic`")
    system.said("contain", "block", *hungary)
    said = system.said("contain", "unblock", *site)
    assert "synthetic/hungary stays blocked, by a measure of its own" in said
    assert "(a pump)" in said


def test_a_worker_that_starts_later_obeys_too(system: System) -> None:
    system.contain("block", "synthetic/hungary")
    system.serving.stop()
    system.serving.start().wait_until_ready()
    assert system.score()[Reason.BLOCKED] == {"hungary"}


def test_a_key_that_the_keyring_does_not_have_is_not_said_to_be_revoked(site: Site, tmp_path: Path) -> None:
    arguments = ("contain", "revoke-key", "st-mray-icu", "--reason", "a test", "--bootstrap", "127.0.0.1:1")
    refused = CliRunner().invoke(cardiosentry, [*arguments, "--keys", str(site.keys)])
    assert isinstance(refused.exception, UserError)
    assert "st-mray-icu: expected the id of a key" in str(refused.exception)
    elsewhere = CliRunner().invoke(cardiosentry, [*arguments, "--keys", str(tmp_path)])
    assert "see that st-mray-icu is in the workers' keyring" in elsewhere.output


def test_a_source_that_no_key_speaks_of_is_blocked_and_said_to_be_unknown(system: System) -> None:
    assert "has no key of st-mray" in system.said("contain", "block", "st-mray", "--reason", "a test")
    assert "has no key" not in system.said("contain", "block", "synthetic/hungary", "--reason", "a test")
