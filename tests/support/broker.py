"""A broker to test against, and topics on it that no other test has."""

import uuid
from dataclasses import dataclass

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from contracts.topics import TOPICS, Topic
from tests.support.embedded import PARTITIONS
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Broker:
    """Where a broker listens, and whether it is a real one (transactions and retention as in production)."""

    bootstrap: str
    real: bool

    def topics(self, prefix: str = "test", partitions: int = PARTITIONS) -> str:
        """Create every topic of CardioSentry under a fresh prefix and return that prefix.

        The embedded broker makes topics on first use, always with 4 partitions: nothing is created there.
        """
        fresh = f"{prefix}-{uuid.uuid4().hex[:8]}-"
        if self.real:
            create_topics(self.bootstrap, [new_topic(topic, fresh, partitions) for topic in TOPICS])
        elif partitions != PARTITIONS:
            raise ValueError(f"partitions: expected {PARTITIONS} on the embedded broker, got {partitions}")
        return fresh


def new_topic(topic: Topic, prefix: str, partitions: int, config: dict[str, str] | None = None) -> NewTopic:
    """Return `topic` as Kafka wants it, its own number of partitions before `partitions`; `config` adds to its own."""
    own = {"retention.ms": str(topic.retention_ms), "cleanup.policy": "delete"}
    if topic.broker_time:
        own["message.timestamp.type"] = "LogAppendTime"
    return NewTopic(prefix + topic.name, topic.partitions or partitions, 1, config={**own, **(config or {})})


def create_topics(bootstrap: str, topics: list[NewTopic]) -> None:
    """Create the topics and wait for each; raise what Kafka says of the first that could not be."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for created in admin.create_topics(topics, operation_timeout=30).values():
        created.result(timeout=60)
    # The broker answers before it leads what it made, and until then refuses to say where a partition ends.
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "never-joined"})
    try:
        places = [TopicPartition(t.topic, partition) for t in topics for partition in range(t.num_partitions)]
        wait_for(lambda: all(is_led(consumer, place) for place in places), 30, lambda: f"a leader for each of {places}")
    finally:
        consumer.close()


def is_led(consumer: Consumer, place: TopicPartition) -> bool:
    """Whether somebody leads a partition and says where it ends."""
    try:
        consumer.get_watermark_offsets(place, timeout=10)
    except KafkaException as exception:
        if not exception.args[0].retriable() and exception.args[0].code() not in _NOT_YET:
            raise
        return False
    return True


_NOT_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
}


def end_offsets(admin: AdminClient, topic: str, *, committed: bool = True) -> dict[int, int]:
    """Return the end of each partition: of what is committed, or of all that was written. Cheap: one request."""
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    wanted = {TopicPartition(topic, partition): _LATEST for partition in range(PARTITIONS)}
    found = admin.list_offsets(wanted, isolation_level=level, request_timeout=10)
    return {place.partition: end.result(timeout=30).offset for place, end in found.items()}


_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]
