"""Filling the input topic before a run."""

import time
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from benchmarks.events import SOURCE, EventMaker
from contracts.mac import KEY_ID_HEADER, KEYRING_FILE, MAC_HEADER, Keyring, SourceKey, compute_mac
from tests.support.broker import end_offsets

PRODUCER = {"acks": "all", "enable.idempotence": True, "compression.type": "lz4"}

_CHUNK = 5_000
_MAX_QUEUED = 200_000
_AGE_MS = 3_600_000  # nothing lies in the future, however long the filling takes


def preload(bootstrap: str, topic: str, count: int, key: SourceKey | None) -> None:
    """Write the events number 0 to `count` to the empty `topic`, signed by `key` if there is one."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "queue.buffering.max.messages": 2 * _MAX_QUEUED,
            "log_level": 3,
            **PRODUCER,
        }
    )
    maker = EventMaker()
    start_ms = int(time.time() * 1000) - _AGE_MS
    for first in range(0, count, _CHUNK):
        for sequence in range(first, min(first + _CHUNK, count)):
            patient, value = maker.record(sequence, start_ms + sequence // 1000)
            producer.produce(topic, value, patient, headers=mac_headers(key, patient, value) if key else None)
        producer.poll(0)
        while len(producer) > _MAX_QUEUED:
            producer.poll(0.05)
    left = producer.flush(60)
    written = sum(end_offsets(AdminClient({"bootstrap.servers": bootstrap}), topic).values())
    if left or written != count:
        raise RuntimeError(f"topic {topic}: expected {count} events written, got {written}")


def signing_key(keys: Path) -> SourceKey:
    """Return the key that the synthetic source signs with, from the keyring in the directory `keys`."""
    file = keys / KEYRING_FILE
    return Keyring.from_toml(file.read_text(), origin=str(file)).key_for(SOURCE)


def mac_headers(key: SourceKey, record_key: bytes, value: bytes) -> list[tuple[str, str | bytes | None]]:
    """Return the headers of a record that `key` signs."""
    return [(KEY_ID_HEADER, key.key_id.encode()), (MAC_HEADER, compute_mac(key.secret, record_key, value))]
