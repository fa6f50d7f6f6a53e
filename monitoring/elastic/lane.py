"""Some topics on their way: read, sent several requests at once, committed once Elasticsearch has the documents.

A lane has a consumer group and requests of its own, so that no other lane's backlog is before it. What was sent and not
committed, after a crash or when partitions move, is sent again; by its ids that changes nothing.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from contracts.errors import InvalidRecord, UserError
from contracts.refusals import said
from monitoring.elastic.bulk import MAX_BYTES, Bulk, Document, Stopped
from monitoring.elastic.records import Read, Reject, reject
from monitoring.reader import good

log = logging.getLogger("cardiosentry")

AT_ONCE = 1000
"""Records in a request, at most; more of them are not faster, and alerts wait for those that are before them."""
_IN_FLIGHT = 3
_WAIT_S = 0.1
_PATIENCE_S = 2.0
_STOP_S = 20.0
_FLUSH_S = 10.0
_MEASURE_S = 1.0
_ASK_S = 10.0
_KNOWN_S = 30.0


class Route(NamedTuple):
    """What a lane ships: topics, by name, with their identity (see `Source`).

    `from_beginning` reads them whole each time they are assigned, for who must know all.
    """

    name: str
    topics: Mapping[str, str]
    new_read: Callable[[], Read]
    from_beginning: bool = False


class _Batch(NamedTuple):
    refused: "Future[list[Reject]]"
    positions: dict[tuple[str, int], int]
    records: int


class Lane:
    """Ships one route until `stop` is set. `properties` are librdkafka's; `rejects` is the topic of what cannot be.

    Each commit says of which topic it is, by its identity: the offsets of one that was made anew begin again at 0.

    It came round last at `turned_at`, of the monotonic clock.
    """

    def __init__(
        self, route: Route, group: str, properties: dict[str, Any], bulk: Bulk, rejects: str, stop: threading.Event
    ) -> None:
        self._route, self._bulk, self._rejects, self._stop = route, bulk, rejects, stop
        self._consumer = Consumer(
            {
                **properties,
                "group.id": group,
                "enable.auto.commit": "false",
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",  # so that records that are gone are told
                "partition.assignment.strategy": "range",  # topics of one partition go to one lane
                "fetch.wait.max.ms": "50",
            }
        )
        self._producer = Producer({**properties, "enable.idempotence": True, "acks": "all"})
        self._read: Read = route.new_read()
        self._batches: deque[_Batch] = deque()
        self._starts: dict[tuple[str, int], int] = {}
        self._paused = False
        self.shipped = 0
        self.rejected = 0
        self.gone = 0
        self.lag = 0
        self._measured_at = 0.0
        self.name = route.name
        self.turned_at = time.monotonic()

    def run(self) -> None:
        """Ship until told to stop; raises `UserError` where Kafka or Elasticsearch takes nothing of ours."""
        pool = ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix=f"ship-{self._route.name}")
        try:
            self._consumer.subscribe(
                list(self._route.topics), on_assign=self._assigned, on_revoke=self._forget, on_lost=self._forget
            )
            try:
                while not self._stop.is_set():
                    self.turned_at = time.monotonic()
                    self._pause_when_full()
                    self._send(good(self._kept(self._consumer.consume(AT_ONCE, _WAIT_S))), pool)
                    self._commit_done()
                    self._measure_lag()
                self._finish()
            except Stopped:  # while Elasticsearch was away
                return
            except KafkaException as error:
                why = said(error.args[0].name(), error.args[0].str())
                raise UserError(f"lane {self.name}: expected the broker to answer, it said: {why}") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._consumer.close()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(consumer, partitions)
        self._starts = {(p.topic, p.partition): self._start(p) for p in consumer.committed(partitions, _KNOWN_S)}
        consumer.assign([TopicPartition(*place, offset) for place, offset in self._starts.items()])
        log.info("assigned lane=%s partitions=%d", self._route.name, len(partitions))

    def _start(self, committed: TopicPartition) -> int:
        """Return where to begin: at what is committed, if that was of this topic and not of one that was before it."""
        if self._route.from_beginning or committed.offset < 0:
            return OFFSET_BEGINNING
        if committed.metadata and committed.metadata != self._route.topics[committed.topic]:
            log.warning("topic made anew topic=%s partition=%d: shipped whole", committed.topic, committed.partition)
            return OFFSET_BEGINNING
        return committed.offset

    def _kept(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Yield what came; where Kafka has deleted what was to come, tell how much and go on at the first that is left.

        What a transaction puts between its records is counted with them.
        """
        for message in messages:
            error = message.error()
            if error is None or error.code() != KafkaError._AUTO_OFFSET_RESET:
                yield message
                continue
            place, wanted = (message.topic() or "", message.partition() or 0), message.offset() or 0
            first, _ = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_KNOWN_S)
            gone = max(0, first - max(0, wanted))
            self.gone += gone
            log.error("records gone before they were shipped topic=%s partition=%d records=%d", *place, gone)
            self._go_on({place: first})

    def _go_on(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Read some partitions on from other offsets, the others from where they are; after an error none can seek."""
        positions = self._consumer.position(self._consumer.assignment())
        read = {(p.topic, p.partition): p.offset for p in positions if p.offset >= 0}
        self._starts |= read | dict(offsets)
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self._starts.items()])
        self._paused = False

    def _forget(self, _: Consumer, __: list[TopicPartition]) -> None:
        """Leave what is on its way to whoever has the partitions next: it will be sent again from the last commit."""
        for batch in self._batches:
            batch.refused.cancel()
        self._batches.clear()
        self._paused = False
        self._read = self._route.new_read()

    def _pause_when_full(self) -> None:
        """Wait while there is enough on its way; where that takes long, poll without reading.

        A silent member would lose its partitions. To pause costs what was fetched ahead, so it is for outages.
        """
        full = len(self._batches) >= 2 * _IN_FLIGHT
        if full and not self._paused:
            wait([self._batches[0].refused], _PATIENCE_S)
            full = not self._batches[0].refused.done()
        if full != self._paused:
            places = self._consumer.assignment()
            (self._consumer.pause if full else self._consumer.resume)(places)
            self._paused = full

    def _send(self, messages: Iterable[Message], pool: ThreadPoolExecutor) -> None:
        """Send what was read, in requests of at most 5 MB; of records, too: they are kept until theirs is answered."""
        documents: list[tuple[Message, Document | InvalidRecord]] = []
        size = 0
        for message in messages:
            made: Document | InvalidRecord
            length = len(message.value() or b"")
            try:
                made = self._read(message)
                length = max(length, len(made.body))
            except InvalidRecord as error:
                made = error
            if documents and size + length > MAX_BYTES:
                self._submit(documents, pool)
                documents, size = [], 0
            documents.append((message, made))
            size += length
        if documents:
            self._submit(documents, pool)

    def _submit(self, documents: list[tuple[Message, Document | InvalidRecord]], pool: ThreadPoolExecutor) -> None:
        positions = {(m.topic() or "", m.partition() or 0): (m.offset() or 0) + 1 for m, _ in documents}
        self._batches.append(_Batch(pool.submit(self._ship, documents), positions, len(documents)))

    def _ship(self, documents: list[tuple[Message, Document | InvalidRecord]]) -> list[Reject]:
        """Return once Elasticsearch has all documents but those returned. Runs in the pool."""
        good = [(message, made) for message, made in documents if isinstance(made, Document)]
        rejects = [
            reject(message, "undecodable", made.detail)
            for message, made in documents
            if isinstance(made, InvalidRecord)
        ]
        for refused in self._bulk.send([made for _, made in good]):
            rejects.append(reject(good[refused.place][0], "refused", refused.detail))
        return rejects

    def _commit_done(self, *, asynchronous: bool = True) -> None:
        """Commit what was shipped, in the order in which it was read: a later batch waits for those before it."""
        positions: dict[tuple[str, int], int] = {}
        while self._batches and self._batches[0].refused.done():
            batch = self._batches.popleft()
            rejects = batch.refused.result()
            self._keep(rejects)
            positions |= batch.positions
            self.shipped += batch.records - len(rejects)
            self.rejected += len(rejects)
        if positions:
            topics = self._route.topics
            offsets = [TopicPartition(*place, offset, topics[place[0]]) for place, offset in positions.items()]
            try:
                self._consumer.commit(offsets=offsets, asynchronous=asynchronous)  # type: ignore[call-overload]
            except KafkaException as error:  # partitions have moved or the broker is away: sent again, no harm done
                log.warning("not committed lane=%s because=%s", self._route.name, error.args[0].name())

    def _measure_lag(self) -> None:
        """Note now and then how many records of our partitions are not committed yet."""
        now = time.monotonic()
        if now - self._measured_at < (_ASK_S if self._paused else _MEASURE_S):
            return
        self._measured_at = now
        waiting = sum(batch.records for batch in self._batches)
        for place in self._consumer.position(self._consumer.assignment()):
            try:  # what is known without asking comes with what is fetched: in an outage nothing is
                _, end = self._consumer.get_watermark_offsets(place, timeout=1.0, cached=not self._paused)
            except KafkaException:
                return
            waiting += max(0, end - place.offset) if place.offset >= 0 else 0
        self.lag = waiting

    def _keep(self, rejects: Sequence[Reject]) -> None:
        """Write rejects to their topic before the records are committed; raises `UserError` if the broker does not."""
        failures: list[str] = []
        for each in rejects:
            log.warning("rejected %s", each.text)
            self._producer.produce(
                self._rejects,
                headers=list(each.headers),
                on_delivery=lambda error, _: failures.append(error.str()) if error else None,
            )
        if rejects and (self._producer.flush(_FLUSH_S) or failures):
            raise UserError(f"topic {self._rejects}: expected the broker to take what could not be shipped")

    def _finish(self) -> None:
        """Wait for what is on its way, if Elasticsearch answers, and commit it."""
        wait([batch.refused for batch in self._batches], _STOP_S)
        self._commit_done(asynchronous=False)
