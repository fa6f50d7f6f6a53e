"""Reading a topic to its end."""

import time
import uuid
from typing import Any, Literal, NamedTuple, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition


class Record(NamedTuple):
    """One record as a reader sees it."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def read_topic(
    bootstrap: str,
    topic: str,
    count: int = 0,
    *,
    timeout_s: float = 30,
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed",
) -> list[Record]:
    """Return the records of `topic` from the beginning: at least `count` and then to the end, or what came in time.

    The order of a partition is kept. A record too many shows as well: reading goes on to the end of every partition.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{uuid.uuid4()}",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )
    records: list[Record] = []
    deadline = time.monotonic() + timeout_s
    try:
        partitions = list(consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions)
        if not partitions:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, f"topic {topic}: not there"))
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        ended: set[int] = set()
        while time.monotonic() < deadline and (len(records) < count or len(ended) < len(partitions)):
            for message in consumer.consume(10_000, 0.1):
                partition = cast(int, message.partition())
                error = message.error()
                if error is None:
                    ended.discard(partition)
                    headers = cast(Any, message.headers() or ())
                    records.append(
                        Record(
                            partition,
                            cast(int, message.offset()),
                            message.timestamp()[1],
                            message.key(),
                            message.value(),
                            tuple(headers),
                        )
                    )
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(partition)
                elif not error.retriable():
                    raise KafkaException(error)
        return records
    finally:
        consumer.close()
