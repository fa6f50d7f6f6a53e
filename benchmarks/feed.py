"""Keeps an input topic ahead of its reader until SIGTERM: `python -m benchmarks.feed BOOTSTRAP TOPIC GROUP [KEYS]`."""

import sys
import time
from pathlib import Path

from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient

from benchmarks.cluster import Cluster
from benchmarks.events import EventMaker
from benchmarks.load import PRODUCER, mac_headers, signing_key
from contracts.mac import SourceKey
from tests.support.broker import end_offsets

BACKLOG = 400_000
"""Events ahead of the last commit: over a second of work, so that the worker never waits."""

_POOL = 50_000  # made once and sent again and again: making events would take the CPU from whom we watch
_CHUNK = 5_000


def main() -> None:
    bootstrap, topic, group, *keys = sys.argv[1:]
    feed(bootstrap, topic, group, signing_key(Path(keys[0])) if keys else None)


def feed(bootstrap: str, topic: str, group: str, key: SourceKey | None) -> None:
    """Write events to `topic` for ever, never more than `BACKLOG` (and a chunk) ahead of what `group` has committed."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 4 * _CHUNK, **PRODUCER}
    )
    admin = Cluster(bootstrap, "").admin
    maker, now_ms = EventMaker(), int(time.time() * 1000)
    pool = [maker.record(sequence, now_ms) for sequence in range(_POOL)]
    records = [(patient, value, mac_headers(key, patient, value) if key else None) for patient, value in pool]
    while True:
        ahead = sum(end_offsets(admin, topic).values()) - _committed(admin, topic, group)
        for chunk in range(max(0, BACKLOG - ahead) // _CHUNK):
            first = chunk * _CHUNK % _POOL
            for patient, value, headers in records[first : first + _CHUNK]:
                producer.produce(topic, value, patient, headers=headers)
            while len(producer) > _CHUNK:
                producer.poll(0.01)
        producer.poll(0)
        time.sleep(0.05)


def _committed(admin: AdminClient, topic: str, group: str) -> int:
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    found = asked[group].result(timeout=30).topic_partitions or []
    return sum(max(0, each.offset) for each in found if each.topic == topic)


if __name__ == "__main__":
    main()
