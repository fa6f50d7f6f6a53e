"""One system's topics seen from outside: what goes in, when it is worked off, and what came out of it."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from contracts.events import DecodedPrediction
from contracts.topics import EVENTS, OUTCOMES, PREDICTIONS, QUARANTINE
from producers.pacing import Pace
from producers.publish import Publisher
from producers.run import run
from producers.sign import Signer
from producers.sources import SourceRecord
from producers.synthetic import SyntheticPatients
from tests.support.broker import Broker
from tests.support.reading import Record, read_topic
from tests.support.site import Site
from tests.support.waiting import wait_for

WORKED_OFF_S = 60.0
"""Long for a machine whose cores are busy with other tests; what is waited for takes a second or two on an idle one."""


@dataclass(frozen=True)
class Quarantined:
    """What anybody can read of a quarantined record."""

    reason: str
    digest: str
    size: int
    sealed_bytes: int


@dataclass(frozen=True)
class Outputs:
    """What came out: predictions, each partition's in its order, and quarantined records by their origin."""

    predictions: list[DecodedPrediction]
    quarantined: list[tuple[str, Quarantined]]

    @property
    def event_ids(self) -> list[str]:
        return [prediction.event_id for prediction in self.predictions]

    @property
    def reasons(self) -> dict[str, str]:
        """Return the reasons by origin, "partition/offset"; fail where an origin came out twice."""
        reasons = {origin: record.reason for origin, record in self.quarantined}
        assert len(reasons) == len(self.quarantined), "a record was quarantined twice"
        return reasons

    def by_patient(self) -> dict[str, list[str]]:
        """Return each patient's event ids in the order of their predictions."""
        found = defaultdict(list)
        for prediction in self.predictions:
            found[prediction.patient_id].append(prediction.event_id)
        return dict(found)


class Stream:
    """The topics under `prefix`, worked on by `group`."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self.bootstrap = broker.bootstrap
        self.prefix = prefix
        self.group = f"{prefix}group"
        self._read: set[tuple[str, int, int]] = set()

    def produce(self, records: Sequence[SourceRecord], **properties: str) -> list[str]:
        """Publish the records as they are, one by one; return where each stands, "partition/offset"."""
        places = [""] * len(records)
        failures: list[str] = []

        def delivered(number: int) -> Any:
            def report(error: KafkaError | None, message: Message) -> None:
                if error is not None:
                    failures.append(error.str())
                places[number] = f"{message.partition()}/{message.offset()}"

            return report

        settings: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "partitioner": "murmur2_random",
            "message.max.bytes": 2_000_000,
            "linger.ms": 20,
            **properties,
        }
        producer = Producer(settings)
        for number, record in enumerate(records):
            headers = cast(Any, record.headers or [])
            producer.produce(
                self.prefix + record.topic.name,
                record.value,
                record.key,
                headers=headers,
                on_delivery=delivered(number),
            )
            producer.poll(0)
        assert producer.flush(30) == 0
        assert not failures
        return places

    def wait_until_worked_off(self, timeout_s: float = WORKED_OFF_S, explain: Any = str) -> None:
        """Wait until the group has committed the end of its inputs: then all output of it can be read."""
        wait_for(self.is_worked_off, timeout_s, explain)

    def is_worked_off(self) -> bool:
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": self.group, "isolation.level": "read_committed"}
        )
        try:
            inputs = [self.prefix + topic.name for topic in (EVENTS, OUTCOMES)]
            partitions = [
                TopicPartition(topic, partition)
                for topic in inputs
                for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions
            ]
            return all(
                max(0, committed.offset) == consumer.get_watermark_offsets(committed, timeout=10)[1]
                for committed in consumer.committed(partitions, timeout=10)
            )
        finally:
            consumer.close()

    def outputs(self, timeout_s: float = WORKED_OFF_S, explain: Any = str) -> Outputs:
        """Wait until everything is worked off; return all that came out since the last call."""
        self.wait_until_worked_off(timeout_s, explain)
        predictions = [
            msgspec.json.decode(record.value or b"", type=DecodedPrediction) for record in self._new(PREDICTIONS.name)
        ]
        return Outputs(predictions, [_quarantined(record) for record in self._new(QUARANTINE.name)])

    def _new(self, topic: str) -> list[Record]:
        records = [
            record
            for record in read_topic(self.bootstrap, self.prefix + topic, timeout_s=60)
            if (topic, record.partition, record.offset) not in self._read
        ]
        self._read.update((topic, record.partition, record.offset) for record in records)
        return records


def _quarantined(record: Record) -> tuple[str, Quarantined]:
    headers = {name: value for name, value in record.headers if name != "cs-wrapped-key"}
    text = {name: value.decode() for name, value in headers.items()}
    origin = re.fullmatch(rf".*{EVENTS.name}/(\d+/\d+)", text["cs-origin"])
    assert origin, text
    return origin[1], Quarantined(text["cs-reason"], text["cs-digest"], int(text["cs-size"]), len(record.value or b""))


class Patients:
    """Synthetic patients whose events are signed by the site's own key."""

    def __init__(self, site: Site, seed: int, patients: int = 200) -> None:
        self._source = SyntheticPatients(pseudonym_key=site.pseudonym_key, seed=seed, patients=patients)
        self._signer = Signer(site.keyring)

    def events(self, count: int) -> list[SourceRecord]:
        """Return signed events of now."""
        return [
            msgspec.structs.replace(record, headers=self._signer.headers(record.source, record.key, record.value))
            for record in self._source.take(count, time.time_ns() // 1_000_000)
        ]

    def unsigned(self, count: int) -> list[SourceRecord]:
        """Return events without a MAC."""
        return [msgspec.structs.replace(record, headers=[]) for record in self.events(count)]


class SteadyLoad(threading.Thread):
    """Publishes signed events at `rate` a second, from the start of the context to its end, and remembers them."""

    def __init__(self, stream: Stream, site: Site, rate: float, seed: int = 1) -> None:
        super().__init__(name="load", daemon=True)
        self.sent: list[tuple[str, str]] = []
        self._stream, self._site, self._rate, self._seed = stream, site, rate, seed
        self._done = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            patients = SyntheticPatients(pseudonym_key=self._site.pseudonym_key, seed=self._seed, patients=50)
            with Publisher(
                self._stream.bootstrap, topic_prefix=self._stream.prefix, keyring=self._site.keyring
            ) as publisher:
                run(Remembered(patients, self.sent), publisher, Pace(self._rate), stop=self._done.is_set)
        except BaseException as error:
            self._failure = error

    def __enter__(self) -> "SteadyLoad":
        self.start()
        return self

    def finish(self) -> None:
        """Send no more and wait until all that was sent is confirmed."""
        self._done.set()
        self.join()
        if self._failure is not None:
            raise self._failure

    def __exit__(self, *_: object) -> None:
        self.finish()

    def by_patient(self) -> dict[str, list[str]]:
        """Return each patient's event ids in the order in which they were sent."""
        return by_patient(self.sent)


class Remembered:
    """A source that notes (patient id, event id) of all that is taken from it."""

    def __init__(self, source: SyntheticPatients, taken: list[tuple[str, str]]) -> None:
        self._source, self._taken = source, taken

    def take(self, count: int, at_ms: int) -> Sequence[SourceRecord]:
        """See `producers.sources.Source.take`."""
        records = self._source.take(count, at_ms)
        self._taken += [((record.key or b"").decode(), record.event_id) for record in records]
        return records


def by_patient(events: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return each patient's event ids in their order, of pairs (patient id, event id)."""
    found = defaultdict(list)
    for patient_id, event_id in events:
        found[patient_id].append(event_id)
    return dict(found)


def same_histories(sent: Mapping[str, list[str]], scored: Mapping[str, list[str]]) -> None:
    """Assert that every patient's events came out once and in order; a mere == would print megabytes."""
    assert sent.keys() == scored.keys()
    different = [patient for patient in sent if sent[patient] != scored[patient]]
    assert not different, {patient: (sent[patient], scored[patient]) for patient in different[:1]}
