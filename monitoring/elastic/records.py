"""Kafka records as documents on their way: the index by Kafka's time, the id by where the record stands."""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from confluent_kafka import Message

from contracts.errors import InvalidRecord
from contracts.reasons import Reason
from contracts.topics import INCIDENT_ACTS, PREDICTIONS, QUARANTINE, RELEASES, SHADOW_PREDICTIONS
from monitoring.elastic import documents
from monitoring.elastic.audit import Judge, audited
from monitoring.elastic.bulk import Document
from monitoring.elastic.streams import STREAMS, Names, Stream
from monitoring.reader import headers

Read = Callable[[Message], Document]
"""Makes a record's document; raises `InvalidRecord` for one that has none."""


class Source(NamedTuple):
    """A topic as this cluster has it. `identity` is its UUID, which no other topic ever has, be it of the same name."""

    stream: Stream
    identity: str


class Reject(NamedTuple):
    """What is kept of a record that could not be shipped: the headers of ship-rejects."""

    headers: tuple[tuple[str, bytes], ...]
    text: str


def reader(sources: Mapping[str, Source], names: Names, judge: Judge) -> Read:
    """Return what makes the documents of these topics, by name; `judge` is given signed records in order."""

    def read(message: Message) -> Document:
        topic, at_ms = message.topic() or "", message.timestamp()[1]
        source = sources[topic]
        try:
            index = names.index(source.stream, at_ms)
        except ValueError as error:
            raise InvalidRecord(Reason.SCHEMA, str(error)) from None
        place = f"{source.identity}:{topic}:{message.partition()}:{message.offset()}"
        return Document(index, place, _body(source.stream, message, at_ms, judge))

    return read


def _body(stream: Stream, message: Message, at_ms: int, judge: Judge) -> bytes:
    value = message.value() or b""
    if stream.topic in (PREDICTIONS, SHADOW_PREDICTIONS):
        return documents.prediction(value)
    if stream.topic is QUARANTINE:
        return documents.quarantined(headers(message), at_ms)
    if stream.topic in (RELEASES, INCIDENT_ACTS):
        return audited(judge(stream.topic, value, at_ms), origin(message), at_ms)
    return documents.alert(value)


def origin(message: Message) -> str:
    """Return where a record stands: topic/partition/offset."""
    return f"{message.topic()}/{message.partition()}/{message.offset()}"


def reject(message: Message, reason: str, detail: str) -> Reject:
    """Return what is kept of a record. Its bytes are not: they stand at its origin while its topic keeps them."""
    value = message.value() or b""
    kept = {
        "cs-reason": reason,
        "cs-detail": detail,
        "cs-origin": origin(message),
        "cs-digest": "sha256:" + hashlib.sha256(value).hexdigest(),
        "cs-size": str(len(value)),
    }
    return Reject(
        tuple((name, text.encode()) for name, text in kept.items()), f"{reason} origin={origin(message)} {detail}"
    )


def sources(prefix: str, identities: Mapping[str, str]) -> dict[str, Source]:
    """Return every topic that is shipped, by its name under `prefix`, with its identity by that name."""
    return {
        prefix + stream.topic.name: Source(stream, identities[prefix + stream.topic.name])
        for stream in STREAMS
        if stream.topic
    }
