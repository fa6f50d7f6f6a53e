"""What is collected from a real Kafka is what workers accepted and nobody complained of, with its outcomes."""

import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cli.collecting import collect_topics
from contracts.codec import encode
from contracts.errors import UserError
from contracts.heart_disease import HEART_DISEASE
from contracts.releases import Contained
from contracts.settings import Settings
from contracts.topics import EVENTS, OUTCOMES, SECURITY_ALERTS
from models.pipeline.check import Report
from models.pipeline.collect import CollectPolicy
from models.pipeline.sealed import PRIVATE_KEY_FILE
from models.pipeline.snapshot import MANIFEST_FILE, Places, Snapshot
from models.pipeline.touched import row_id
from models.sealing import PrivateKey
from producers.sign import Signer
from producers.sources import SourceRecord
from producers.synthetic import SyntheticPatients
from tests.integration.stream import Stream
from tests.models.pipeline.collecting import told
from tests.support.broker import Broker
from tests.support.reading import read_topic
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

POLICY = CollectPolicy(settle_s=0, before_s=0, after_s=0, least_rows=10, least_of_each=1)
COUNT = 40


@dataclass
class System:
    """A running system whose events and outcomes were sent; `events` and `outcomes` are by place."""

    site: Site
    stream: Stream
    events: list[SourceRecord]
    outcomes: list[SourceRecord]

    def collect(self, directory: Path, **given: int | Places | None) -> tuple[Report, Snapshot]:
        settings = Settings(bootstrap=self.stream.bootstrap, topic_prefix=self.stream.prefix, keys=str(self.site.keys))
        directory.mkdir()
        report = collect_topics(settings, directory, POLICY, contained=Contained(), **given)  # type: ignore[arg-type]
        key = PrivateKey.load(self.site.keys / PRIVATE_KEY_FILE, "pipeline's")
        return report, Snapshot.open(directory, "sha256:" + report.files[MANIFEST_FILE], key, HEART_DISEASE)


def _bytes(record: SourceRecord) -> bytes:
    assert record.value is not None
    return record.value


def turned(record: SourceRecord) -> bytes:
    """Return the outcome with the other diagnosis."""
    was, other = (b"0", b"1") if b'"diagnosis":0' in _bytes(record) else (b"1", b"0")
    return _bytes(record).replace(b'"diagnosis":' + was, b'"diagnosis":' + other)


@pytest.fixture(scope="module")
def system(kafka: Broker, site: Site, tmp_path_factory: pytest.TempPathFactory) -> System:
    """A system that was sent good records and, of the first events, what must not be learned from."""
    prefix = kafka.topics("collecting")
    stream = Stream(kafka, prefix)
    signer = Signer(site.keyring)

    def signed(record: SourceRecord, value: bytes | None = None) -> SourceRecord:
        content = record.value if value is None else value
        headers = signer.headers(record.source, record.key, content)
        return msgspec.structs.replace(record, value=content, headers=headers, delay_s=0)

    patients = SyntheticPatients(pseudonym_key=site.pseudonym_key, seed=33, patients=20, outcome_delay_s=0)
    made = [signed(record) for record in patients.take(COUNT, time.time_ns() // 1_000_000)]
    events = [record for record in made if record.topic is EVENTS]
    outcomes = [record for record in made if record.topic is OUTCOMES]
    log = tmp_path_factory.mktemp("collecting") / "log"
    with Serving(site, kafka.bootstrap, prefix, log) as serving:
        serving.start().wait_until_ready()
        stream.produce(events)
        wait_for(stream.is_worked_off, 60, serving.text)
        stream.produce(
            [
                events[0],  # repeated
                signed(events[1], _bytes(events[1]).replace(b'"age":', b'"age": ')),  # changed
                msgspec.structs.replace(events[5], headers=[]),  # not authentic
                *outcomes[:4],
                signed(outcomes[2], turned(outcomes[2])),  # conflicting
                msgspec.structs.replace(outcomes[3], headers=[]),  # not authentic
                *outcomes[5:],  # nobody says what the event at 4 turned out to be
            ]
        )
        wait_for(stream.is_worked_off, 60, serving.text)
    # A worker's own alert: nothing of this is enough for a rule.
    found = told("st-mary/icu", time.time_ns() // 1_000_000, time.time_ns() // 1_000_000, samples=events[6].event_id)
    alert = SourceRecord(topic=SECURITY_ALERTS, key=b"st-mary/icu", value=encode(found), source="", event_id="")
    stream.produce([alert])
    late = signed(msgspec.structs.replace(patients.take(1, time.time_ns() // 1_000_000)[0], topic=EVENTS))
    stream.produce([late])  # unscored: no worker runs any more
    return System(site, stream, events, outcomes)


def test_what_was_scored_and_has_an_outcome_is_collected_and_all_else_accounted_for(
    system: System, tmp_path: Path
) -> None:
    report, snapshot = system.collect(tmp_path / "made")
    rows = snapshot.rows()
    good = [record.event_id for at, record in enumerate(system.events) if at not in (1, 2, 4, 6)]
    assert rows.row_id.tolist() == sorted(map(row_id, good))
    said = {row_id(record.event_id): int(b'"diagnosis":1' in _bytes(record)) for record in system.outcomes}
    assert rows.y.tolist() == [said[name] for name in rows.row_id.tolist()]
    assert snapshot.manifest.left_out == {
        EVENTS.name: {
            "alerted": 1,
            "changed": 1,
            "conflicting_outcomes": 1,
            "mac_missing": 1,
            "no_outcome": 1,
            "quarantined": 1,
            "repeated": 1,
            "unscored": 1,
        },
        OUTCOMES.name: {"conflicting": 2, "mac_missing": 1, "no_event": 2},
    }
    assert snapshot.manifest.read == {EVENTS.name: COUNT + 4, OUTCOMES.name: COUNT + 1}
    assert [check.name for check in report.checks if check.verdict == "fail"] == ["outcomes that contradict each other"]


def test_the_places_of_a_manifest_give_the_same_rows_again(system: System, tmp_path: Path) -> None:
    _, first = system.collect(tmp_path / "first")
    _, second = system.collect(tmp_path / "second", places=first.manifest.places)
    assert (first.rows().row_id == second.rows().row_id).all()
    np.testing.assert_array_equal(first.rows().x, second.rows().x)
    assert not (first.rows().group == second.rows().group).any(), "no patient is the same in two snapshots"
    assert first.manifest.left_out == second.manifest.left_out


def test_a_time_bounds_what_is_read(system: System, tmp_path: Path) -> None:
    records = read_topic(system.stream.bootstrap, system.stream.prefix + EVENTS.name, COUNT)
    last_ms = max(record.timestamp_ms for record in records)
    report, _ = system.collect(tmp_path / "none", since_ms=last_ms + 1)
    assert report.facts["rows"] == report.facts[f"read of {EVENTS.name}"] == 0
    before, _ = system.collect(tmp_path / "before", until_ms=last_ms)
    after, _ = system.collect(tmp_path / "after", since_ms=last_ms)
    topic = f"read of {EVENTS.name}"
    assert int(before.facts[topic] or 0) + int(after.facts[topic] or 0) == COUNT + 4
    assert after.facts[topic] == 1


def test_places_that_are_not_there_are_refused(system: System, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected to read it"):
        system.collect(tmp_path / "gone", places={EVENTS.name: {0: (10**6, 10**6 + 1)}})
