"""The embedded broker: librdkafka's mock cluster, listening on localhost for as long as its client lives."""

from types import TracebackType

from confluent_kafka import Producer

from contracts.topics import TOPICS


class EmbeddedBroker:
    """A Kafka to try out: groups, transactions and idempotence answer; records live in memory.

    It keeps about 5 MB a partition, does not filter aborted records, and knows no offsets by time: no claim about
    exactly-once rests on it, and what reads back in time finds nothing.
    """

    def __enter__(self) -> "EmbeddedBroker":
        self._client = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0})
        broker = next(iter(self._client.list_topics(timeout=10).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"
        for topic in TOPICS:
            self._client.list_topics(topic.name, timeout=10)  # asking makes it
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        del self._client  # its last reference: the cluster goes with it


def is_embedded(cluster_id: str | None) -> bool:
    """Whether a cluster of this id is an embedded broker."""
    return (cluster_id or "").startswith("mockCluster")
