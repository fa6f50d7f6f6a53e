"""Reads topics from the outside: committed records only, no consumer group left behind."""

from collections.abc import Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from contracts.errors import UserError

_TIMEOUT_S = 10.0


def headers(message: Message) -> dict[str, bytes]:
    """Return a record's headers by name, the last of each."""
    found = dict(message.headers() or [])
    return {name: value for name, value in found.items() if isinstance(value, bytes)}


class TopicReader:
    """Reads every partition of some topics, from their beginning or from now on.

    Records of one partition come in order. `properties` are librdkafka's. Raises `UserError` where the broker does not
    answer or a topic is not there.
    """

    def __init__(self, properties: Mapping[str, object], topics: Sequence[str], *, beginning: bool) -> None:
        self._consumer = Consumer(
            {
                **properties,
                "group.id": "cardiosentry-reader",  # asked for, never joined: partitions are assigned by hand
                "enable.auto.commit": "false",
                "isolation.level": "read_committed",
            }
        )
        start = OFFSET_BEGINNING if beginning else OFFSET_END
        partitions = []
        for topic in topics:
            try:
                found = self._consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
            except KafkaException:
                self._consumer.close()
                address = properties.get("bootstrap.servers")
                raise UserError(f"setting bootstrap: expected a Kafka broker at {address}, none answered") from None
            if found.error is not None or not found.partitions:
                self._consumer.close()
                raise UserError(f"topic {topic}: expected an existing topic, the broker has none of this name")
            partitions += [TopicPartition(topic, partition, start) for partition in found.partitions]
        self._consumer.assign(partitions)

    def read(self, timeout_s: float, at_most: int = 5000) -> list[Message]:
        """Return what is there, waiting up to `timeout_s` for the first record; connection errors are waited out."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        rest = self._consumer.consume(at_most - 1, 0) if at_most > 1 else []
        return [message for message in (first, *rest) if message.error() is None]

    def __enter__(self) -> "TopicReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
