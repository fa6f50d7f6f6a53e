"""The broker that all contenders of a run share, and the topics on it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from confluent_kafka.admin import AdminClient

from contracts.topics import PREDICTIONS, QUARANTINE, TOPICS
from tests.support.broker import create_topics, new_topic
from tests.support.embedded import PARTITIONS
from tests.support.kafka import VERSION, KafkaServer


class Cluster(msgspec.Struct, frozen=True):
    """Where the broker listens; its process id and version where we started it."""

    bootstrap: str
    version: str
    pid: int | None = None

    @property
    def admin(self) -> AdminClient:
        # log_level 3: a client that ends says at 6 what it had not been asked about yet, which nobody needs to know.
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 3})

    @contextmanager
    def topics(self, config: dict[str, str] | None = None) -> Iterator[str]:
        """Create every topic under a fresh prefix, yield the prefix, delete them afterwards.

        The broker stamps what a contender writes with the time of its own clock: throughput is measured by that.
        """
        prefix = f"bench-{uuid.uuid4().hex[:8]}-"
        stamp = {"message.timestamp.type": "LogAppendTime"}
        own = {PREDICTIONS.name: stamp, QUARANTINE.name: stamp}
        topics = [new_topic(t, prefix, PARTITIONS, {**(config or {}), **own.get(t.name, {})}) for t in TOPICS]
        create_topics(self.bootstrap, topics)
        try:
            yield prefix
        finally:
            admin = self.admin  # kept: its answers die with it
            for deleted in admin.delete_topics([prefix + t.name for t in TOPICS]).values():
                deleted.result(timeout=60)


@contextmanager
def cluster(bootstrap: str | None) -> Iterator[Cluster]:
    """Yield the cluster at `bootstrap`, or a Kafka of our own when that is None."""
    if bootstrap:
        yield Cluster(bootstrap, "unknown, given by --bootstrap")
        return
    with KafkaServer() as server:
        yield Cluster(server.bootstrap, VERSION, server.pid)
