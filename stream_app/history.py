"""Reads again what a partition had before an offset: whoever takes it over learns so what its last holder knew."""

import time
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from contracts.errors import RetryableError
from contracts.topics import NEVER_JOINED
from stream_app.batch import Batch
from stream_app.messages import to_batch

_TIMEOUT_S = 10.0
_AT_ONCE = 4000

_PROPERTIES = {
    "enable.auto.commit": "false",
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
}


def kafka_history(properties: Mapping[str, str]) -> Callable[[str, int, int, int], Iterator[Batch]]:
    """Return a function that yields the last records of a partition before an offset, see `detectors.known.History`.

    Each reading has a consumer of its own, which joins no group.
    """

    def read(topic: str, partition: int, before: int, count: int) -> Iterator[Batch]:
        if before == 0:
            return
        consumer = Consumer({**_PROPERTIES, **properties, "group.id": NEVER_JOINED})
        try:
            yield from _read(consumer, TopicPartition(topic, partition), before, count)
        except KafkaException as exception:
            raise RetryableError(f"{topic}/{partition}: {exception.args[0].str()}") from None
        finally:
            consumer.close()

    return read


def _read(consumer: Consumer, place: TopicPartition, before: int, count: int) -> Iterator[Batch]:
    low, _ = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
    position = max(low, before - count)
    consumer.assign([TopicPartition(place.topic, place.partition, position)])
    deadline = time.monotonic() + _TIMEOUT_S
    while position < before:
        messages = [each for each in consumer.consume(_AT_ONCE, 0.05) if each.error() is None]
        kept = [each for each in messages if (each.offset() or 0) < before]
        if kept:
            yield to_batch(place.topic, kept, {})
        if messages:
            deadline = time.monotonic() + _TIMEOUT_S
        # A transaction's markers take offsets too: the position passes them, no record does.
        position = max(position, consumer.position([place])[0].offset)
        if time.monotonic() > deadline:
            raise RetryableError(f"{place.topic}/{place.partition}: expected its records up to {before}, got no more")
