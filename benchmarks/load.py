"""Filling the input topic before a run."""

import random
import time
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from benchmarks.events import SOURCE, EventMaker
from contracts.mac import KEY_ID_HEADER, KEYRING_FILE, MAC_HEADER, Keyring, SourceKey, compute_mac
from contracts.topics import EVENTS
from producers.malformed import malformed
from producers.sources import Headers, SourceRecord
from tests.support.broker import end_offsets

PRODUCER = {"acks": "all", "enable.idempotence": True, "compression.type": "lz4"}

_CHUNK = 5_000
_MAX_QUEUED = 200_000
_GARBAGE = 2_000  # different records

Record = tuple[bytes | None, bytes | None, Headers | None]


def preload(bootstrap: str, topic: str, count: int, records: Iterator[Record]) -> None:
    """Write `count` records to the empty `topic`."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "queue.buffering.max.messages": 2 * _MAX_QUEUED,
            "log_level": 3,
            **PRODUCER,
        }
    )
    for number, (key, value, headers) in enumerate(islice(records, count)):
        producer.produce(topic, value, key, headers=headers)
        if number % _CHUNK == 0:
            producer.poll(0)
            while len(producer) > _MAX_QUEUED:
                producer.poll(0.05)
    left = producer.flush(60)
    written = sum(end_offsets(AdminClient({"bootstrap.servers": bootstrap}), topic).values())
    if left or written != count:
        raise RuntimeError(f"topic {topic}: expected {count} records written, got {written}")


def events(key: SourceKey | None) -> Iterator[Record]:
    """Yield the events from number 0 on, signed by `key` if there is one."""
    maker = EventMaker()
    start_ms = _past_ms()
    for sequence in count():
        patient, value = maker.record(sequence, start_ms + sequence // 1000)
        yield patient, value, mac_headers(key, patient, value) if key else None


def garbage() -> Iterator[Record]:
    """Yield records that a worker must quarantine: events spoiled in every way that needs no key, in turn.

    Those much larger than an event are left out: their bytes alone would make them slower.
    """
    patient, value = EventMaker().record(0, _past_ms())
    good = SourceRecord(topic=EVENTS, key=patient, value=value, source=SOURCE)
    spoiled = malformed(random.Random(1), good, mac_required=False)
    small = [bad for _, bad in islice(spoiled, _GARBAGE) if len(bad.value or b"") < 2 * len(value)]
    for bad in cycle(small):
        yield bad.key, bad.value, bad.headers


def _past_ms() -> int:
    """Return a time long enough ago that no event lies in the future, however long the filling takes."""
    return int(time.time() * 1000) - 3_600_000


def signing_key(keys: Path) -> SourceKey:
    """Return the key that the synthetic source signs with, from the keyring in the directory `keys`."""
    file = keys / KEYRING_FILE
    return Keyring.from_toml(file.read_text(), origin=str(file)).key_for(SOURCE)


def mac_headers(key: SourceKey, record_key: bytes, value: bytes) -> Headers:
    """Return the headers of a record that `key` signs."""
    return [(KEY_ID_HEADER, key.key_id.encode()), (MAC_HEADER, compute_mac(key.secret, record_key, value))]
