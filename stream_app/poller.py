"""The thread that owns the Kafka consumer: it polls without a pause, answers rebalances and hands over what came."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from queue import SimpleQueue

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_app.batch import Poll
from stream_app.inbox import Inbox
from stream_app.messages import PARTITION, TOPIC, to_batch
from stream_app.output import RECONNECT, Member
from stream_app.processor import Processor
from stream_app.slot import SESSION_TIMEOUT_MS, Fenced

log = logging.getLogger("cardiosentry")

MAX_POLL_RECORDS = 4000
_POLL_S = 0.1
_LEAVE_S = 5.0  # without a broker to tell, the session's end must do
_MEASURE_LAG_S = 2.0
_FULL_S = 1.0  # the pipeline at full rate makes room in a tenth of this; longer means that it waits for the broker

_BASE_PROPERTIES = {
    "enable.auto.commit": "false",
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    # Equal partitions of patient-events and patient-outcomes go to the same worker; with `range` they do, with
    # cooperative-sticky they do not.
    "partition.assignment.strategy": "range",
    "session.timeout.ms": SESSION_TIMEOUT_MS,
    "heartbeat.interval.ms": "500",
    "queued.max.messages.kbytes": "16384",
    # A full local queue postpones the next fetch by this; at the default of 1000 the queue runs dry before it comes.
    "fetch.queue.backoff.ms": "10",
    **RECONNECT,
}

_FENCED = KafkaError(KafkaError.FENCED_INSTANCE_ID).str()

Partitions = set[tuple[str, int]]


class Poller(threading.Thread):
    """Polls until `stop`. `on_assigned` and `on_revoked` are called in this thread, after the consumer is told.

    The poller never stops polling, even when nobody takes its batches: a member that is silent holds up the whole
    group's rebalance. It pauses its partitions instead.
    """

    def __init__(
        self,
        properties: Mapping[str, str],
        topics: Sequence[str],
        processor: Processor,
        inbox: Inbox,
        on_assigned: Callable[[Partitions], None],
        on_revoked: Callable[[Partitions], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="poller", daemon=True)
        self.consumer = Consumer({**_BASE_PROPERTIES, **properties})
        self._topics = list(topics)
        self._processor = processor
        self._in_flight = processor.in_flight
        self._inbox = inbox
        self._on_assigned, self._on_revoked, self._on_error = on_assigned, on_revoked, on_error
        self._stop_wanted = threading.Event()
        self._epoch = 0
        self._positions: dict[tuple[str, int], int] = {}
        self._offsets: SimpleQueue[list[TopicPartition]] = SimpleQueue()  # to commit; only this thread may
        self._measure_lag_at = 0.0
        self.polled_at = time.monotonic()
        self.assigned: Partitions = set()
        self.lag: Mapping[str, int] = {}
        """Records between the positions and the last known ends of partitions, by topic, as of a few seconds ago."""

    def stop(self) -> None:
        """Finish: commit what was processed, leave the group. Blocks until done."""
        self._stop_wanted.set()
        self.join()

    def run(self) -> None:
        try:
            self.consumer.subscribe(self._topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)
            while not self._stop_wanted.is_set():
                if self._processor.rewind_wanted.is_set():
                    self._rewind()
                if self._in_flight.wait_for_room(_FULL_S):
                    self._fetch()
                else:
                    self._stay_alive()
                self._commit_offsets()
                self._measure_lag()
                self.polled_at = time.monotonic()
            self._processor.partitions_revoked()  # commit before closing: a commit that meets the close never returns
            self._commit_offsets()
            self._leave()
            self.consumer.close()
        except BaseException as error:  # whatever ends this thread must end the process
            self._on_error(error)

    def _leave(self) -> None:
        """Leave the group, so that others take over at once; closing alone keeps a static member's place (KIP-345)."""
        self.consumer.unsubscribe()
        deadline = time.monotonic() + _LEAVE_S
        while self.assigned and time.monotonic() < deadline:
            self.consumer.poll(_POLL_S)  # until `_revoke` was called

    def _fetch(self) -> None:
        epoch = self._epoch
        # Wait for the first record alone: consume(n, timeout) would wait for n of them and add its timeout as latency.
        first = self.consumer.poll(_POLL_S)
        if first is not None:
            self._hand_over(epoch, [first, *self.consumer.consume(MAX_POLL_RECORDS - 1, 0)])

    def _stay_alive(self) -> None:
        """Poll without taking records until there is room or a rebalance asks for us."""
        epoch = self._epoch
        paused = self.consumer.assignment()
        self.consumer.pause(paused)
        kept: list[Message] = []  # fetched before the pause took hold
        while not (self._in_flight.wait_for_room(_POLL_S) or self._stop_wanted.is_set()):
            message = self.consumer.poll(0)
            self.polled_at = time.monotonic()
            if message is not None:
                kept.append(message)
            self._commit_offsets()
            if self._epoch != epoch or self._processor.rewind_wanted.is_set():
                break
        self._hand_over(epoch, kept)
        # All of them, whoever has them now: librdkafka keeps a partition paused when it is lost and assigned again.
        self.consumer.resume(paused)

    def _hand_over(self, epoch: int, messages: list[Message]) -> None:
        """Hand over what was fetched in `epoch`; across a rebalance nobody can tell whose it is: fetch it again."""
        if messages and epoch != self._epoch:
            self._rewind()
            return
        if any(map(Message.error, messages)):
            for message in messages:
                self._report(message)
            messages = [message for message in messages if message.error() is None]
        if messages:
            caught_up = len(messages) < MAX_POLL_RECORDS
            # librdkafka interleaves partitions; the rows of one must follow each other, in their order.
            messages.sort(key=PARTITION)
            messages.sort(key=TOPIC)
            batches = [to_batch(topic, list(rows), self._positions) for topic, rows in groupby(messages, TOPIC)]
            self._in_flight.add(caught_up=caught_up)
            self._inbox.put(Poll(epoch, caught_up, batches))

    def _report(self, message: Message) -> None:
        error = message.error()
        if error is None:
            return
        if error.code() == KafkaError._FATAL:  # `fatal` is never set in the error of a message
            raise Fenced(error.str()) if _FENCED in error.str() else KafkaException(error)
        log.warning("consumer error=%s", error.str())

    def _commit_offsets(self) -> None:
        """Commit what `Member.commit_later` was given; what the broker refuses is written again."""
        while not self._offsets.empty():
            try:
                self.consumer.commit(offsets=self._offsets.get(), asynchronous=True)
            except KafkaException as exception:
                log.warning("offsets not committed error=%s", exception.args[0].str())

    def _measure_lag(self) -> None:
        if time.monotonic() < self._measure_lag_at:
            return
        self._measure_lag_at = time.monotonic() + _MEASURE_LAG_S
        lag = {topic: 0 for topic, _ in self.assigned}
        for topic, partition in self.assigned & self._positions.keys():
            with suppress(KafkaException):  # a partition that the broker no longer has
                _, end = self.consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
                lag[topic] += max(0, end - self._positions[topic, partition])
        self.lag = lag

    # Called by librdkafka inside poll, consume and close

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.assign(partitions)
        self.assigned = {(partition.topic, partition.partition) for partition in partitions}
        self._positions.clear()
        self._epoch = self._processor.partitions_assigned(
            len(partitions), Member(consumer.consumer_group_metadata(), self._offsets.put)
        )
        self._in_flight.begin(self._epoch)
        self._on_assigned(self.assigned)

    def _revoke(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        self._processor.partitions_revoked()
        self._commit_offsets()
        self._unassign(consumer)

    def _lose(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        self._processor.partitions_lost()
        self._unassign(consumer)

    def _unassign(self, consumer: Consumer) -> None:
        consumer.unassign()
        revoked, self.assigned = self.assigned, set()
        self._on_revoked(revoked)

    def _rewind(self) -> None:
        """Fetch again from the committed offsets: a fresh assignment of the same partitions does that."""
        self._processor.rewind_wanted.clear()
        self._positions.clear()
        self._epoch = self._processor.epoch
        self._in_flight.begin(self._epoch)
        if self.assigned:  # without, a rebalance is under way, and its assignment is as good
            self.consumer.assign([TopicPartition(topic, partition) for topic, partition in self.assigned])
