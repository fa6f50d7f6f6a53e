"""Reads topics from the outside: committed records only, no consumer group left behind."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from contracts.errors import UserError
from contracts.refusals import explain, said
from contracts.topics import NEVER_JOINED
from monitoring.cluster import Listener, metadata

_TIMEOUT_S = 10.0
_TAIL = -2000  # librdkafka's RD_KAFKA_OFFSET_TAIL(n) is this minus n; the beginning, where there are fewer
_QUIET_S = 60.0

_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError._AUTO_OFFSET_RESET,  # records that were asked for are gone, and the property says not to go on
}
"""Errors of a record's place that no waiting mends."""

_Place = tuple[str, int]
Places = dict[_Place, tuple[int, int]]
"""By topic and partition, the first offset and the one to stop before."""


def good(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield the records of what a consumer gave; raises `UserError` for an error that no waiting mends."""
    for message in messages:
        error = message.error()
        if error is None:
            yield message
        elif error.code() in _REFUSED:
            raise UserError(
                f"topic {message.topic()}: expected to read it, the broker said: {said(error.name(), error.str())}"
            )


def headers(message: Message) -> dict[str, bytes]:
    """Return a record's headers by name, the last of each."""
    try:
        found = dict(message.headers() or [])
    except (SystemError, UnicodeDecodeError):  # a name that is not UTF-8, at which confluent-kafka raises
        return {}
    return {name: value for name, value in found.items() if isinstance(value, bytes)}


class TopicReader:
    """Reads every partition of some topics, from their beginning, from the last few offsets of each or from now on.

    Or from a time, epoch milliseconds: from the first record of each partition that is not older by Kafka's timestamp.
    Records of one partition come in order. `properties` are librdkafka's. Raises `UserError` where the broker does not
    answer or a topic is not there.
    """

    def __init__(
        self,
        properties: Mapping[str, object],
        topics: Sequence[str],
        *,
        beginning: bool = False,
        last: int = 0,
        since_ms: int | None = None,
    ) -> None:
        self._properties, self._listener = properties, Listener()
        self._consumer = Consumer(
            {
                "fetch.wait.max.ms": "100",
                **properties,
                "error_cb": self._listener,
                "group.id": NEVER_JOINED,
                "enable.auto.commit": "false",
                "isolation.level": "read_committed",
            }
        )
        start = OFFSET_BEGINNING if beginning else _TAIL - last if last else OFFSET_END
        partitions = []
        for topic in topics:
            try:
                partitions += [TopicPartition(topic, partition, start) for partition in self._partitions(topic)]
            except UserError:
                self._consumer.close()
                raise
        if since_ms is not None:
            times = [TopicPartition(place.topic, place.partition, since_ms) for place in partitions]
            found_places = self._consumer.offsets_for_times(times, timeout=_TIMEOUT_S)
            partitions = [place for place in found_places if place.offset != OFFSET_END]  # that is: nothing since then
        self._consumer.assign(partitions)

    def _partitions(self, topic: str) -> list[int]:
        found = metadata(self._consumer, self._listener, self._properties, topic).topics[topic]
        if found.error is not None and (refused := explain(found.error.name(), found.error.str())):
            raise UserError(f"topic {topic}: expected to read it; {refused}")
        if found.error is not None or not found.partitions:
            raise UserError(f"topic {topic}: expected an existing topic, the broker has none of this name")
        return list(found.partitions)

    def read(self, timeout_s: float, at_most: int = 5000) -> list[Message]:
        """Return what is there, waiting up to `timeout_s` for the first record; connection errors are waited out."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        rest = self._consumer.consume(at_most - 1, 0) if at_most > 1 else []
        return list(good((first, *rest)))

    def skip_to_end(self) -> None:
        """Pass over what has not been read yet, in every partition."""
        self._consumer.assign(
            [TopicPartition(place.topic, place.partition, OFFSET_END) for place in self._consumer.assignment()]
        )

    def lag(self) -> dict[str, int]:
        """Return by topic how many records lie between what was read and the end, as far as that came with records."""
        waiting: dict[str, int] = {}
        for place in self._consumer.position(self._consumer.assignment()):
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            unread = max(0, end - place.offset) if place.offset >= 0 else 0
            waiting[place.topic] = waiting.get(place.topic, 0) + unread
        return waiting

    def answers(self, timeout_s: float) -> bool:
        """Return whether the broker says within `timeout_s` where a partition ends."""
        try:
            return bool(self._consumer.get_watermark_offsets(self._consumer.assignment()[0], timeout=timeout_s))
        except KafkaException:
            return False

    def until_end(self, places: Places | None = None) -> Iterator[Message]:
        """Yield what is in the topics now, and end there; raise `UserError` if it cannot be read within a minute.

        `places` are those of now, where the caller knows them already.
        """
        found = self.places() if places is None else places
        yield from self._until({place: end for place, (start, end) in found.items() if end > start})

    def places(
        self, since_ms: int | None = None, until_ms: int | None = None
    ) -> dict[tuple[str, int], tuple[int, int]]:
        """Return where the records of these times are, epoch milliseconds, by their times in Kafka.

        None: from the first record that is there, or to the last one now.
        """
        highs = self._offsets(OFFSET_END)
        starts = self._offsets(OFFSET_BEGINNING if since_ms is None else since_ms)
        ends = highs if until_ms is None else self._offsets(until_ms)
        found = {}
        for place, high in highs.items():
            start, end = (high if offset == OFFSET_END else offset for offset in (starts[place], ends[place]))
            found[place] = (start, max(start, end))
        return found

    def between(self, places: Places) -> Iterator[Message]:
        """Yield the records at these places and no others, as `until_end` does.

        With the property auto.offset.reset = error, raises `UserError` if the first of them is deleted meanwhile.
        """
        wanted = {place: bounds for place, bounds in places.items() if bounds[1] > bounds[0]}
        self._consumer.assign([TopicPartition(*place, start) for place, (start, _) in wanted.items()])
        for message in self._until({place: end for place, (_, end) in wanted.items()}):
            place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
            if offset < wanted[place][1]:
                yield message

    def _offsets(self, at_ms: int) -> dict[_Place, int]:
        """Return the first offset of each partition from a time on, OFFSET_END where there is none.

        All partitions in one request, since the answer waits behind a fetch. OFFSET_BEGINNING and OFFSET_END are times
        too, to the broker, and answered by the offset itself.
        """
        asked = [TopicPartition(place.topic, place.partition, at_ms) for place in self._consumer.assignment()]
        offsets: dict[_Place, int] = {}
        for found in self._consumer.offsets_for_times(asked, timeout=_TIMEOUT_S) if asked else ():
            if found.error is not None:
                raise KafkaException(found.error)
            offsets[found.topic, found.partition] = found.offset
        return offsets

    def _until(self, ends: dict[_Place, int]) -> Iterator[Message]:
        quiet_since = time.monotonic()
        while ends:
            for message in self.read(0.2):
                quiet_since = time.monotonic()
                yield message
            # A transaction's markers take offsets too: the position passes them, no record does.
            for place in self._consumer.position([TopicPartition(*key) for key in ends]):
                if place.offset >= ends[place.topic, place.partition]:
                    del ends[place.topic, place.partition]
            if time.monotonic() - quiet_since > _QUIET_S:
                raise UserError(
                    f"topic {next(iter(ends))[0]}: expected to read it to its end, nothing came for a minute"
                )

    def __enter__(self) -> "TopicReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
