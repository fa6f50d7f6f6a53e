"""From librdkafka's messages to batches."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import cast

from confluent_kafka import Message

from contracts.mac import UNREADABLE, Headers
from stream_app.batch import UNKNOWN_START, Batch, Span

# Typed as what they are for consumed messages, which have all three.
TOPIC = cast("Callable[[Message], str]", Message.topic)
PARTITION = cast("Callable[[Message], int]", Message.partition)
OFFSET = cast("Callable[[Message], int]", Message.offset)


def to_batch(topic: str, messages: Sequence[Message], positions: dict[tuple[str, int], int]) -> Batch:
    """Return the batch of a topic's messages, those of a partition together and in their order.

    `positions` holds where each partition was read to, and is moved on.
    """
    spans: list[Span] = []
    first_row = 0
    for partition, rows in groupby(messages, PARTITION):
        run = list(rows)
        first, last = OFFSET(run[0]), OFFSET(run[-1])
        # Offsets of one partition rise; where as many came as there are from first to last, none is left out.
        gapless = last - first + 1 == len(run)
        offsets = range(first, last + 1) if gapless else list(map(OFFSET, run))
        place = (topic, partition)
        spans.append(Span(partition, first_row, positions.get(place, UNKNOWN_START), offsets))
        positions[place] = last + 1
        first_row += len(run)
    return Batch(
        topic=topic,
        spans=spans,
        keys=list(map(Message.key, messages)),
        values=list(map(Message.value, messages)),
        headers=_headers(messages),
    )


def _headers(messages: Sequence[Message]) -> list[Headers]:
    """Return each record's headers, `UNREADABLE` where a name is not UTF-8: confluent-kafka raises at it."""
    found: list[Headers] = []
    rest = iter(messages)
    while True:
        try:
            for message in rest:
                found.append(message.headers())  # type: ignore[arg-type]  # consumed ones are lists of bytes
            return found
        except (SystemError, UnicodeDecodeError):  # never ask this message again: what it keeps of them is broken
            found.append(UNREADABLE)
