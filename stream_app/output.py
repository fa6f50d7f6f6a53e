"""Where results go: one producer for every topic, and the input offsets with them.

`TransactionalOutput` commits outputs and offsets as one (KIP-447: offsets go with the consumer group's metadata, so a
worker that lost its partitions is refused). `AtLeastOnceOutput` flushes, then commits the offsets: after a crash some
records are written again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from contracts.errors import RetryableError, UserError
from contracts.refusals import said
from stream_app.quarantine import Quarantined

log = logging.getLogger("cardiosentry")

Offsets = Mapping[tuple[str, int], int]
Record = tuple[bytes | None, bytes]

# How a client comes through the absence of all brokers; each line answers a failure of the crash test.
RECONNECT = {
    # Connect to every broker, not only where there is something to send: a producer in the middle of an abort has
    # nothing to send, so librdkafka 2.16 would never connect and never learn that the brokers are back.
    "enable.sparse.connections": "false",
    # After a long outage the default lets 10 s pass before the next try.
    "reconnect.backoff.max.ms": "1000",
}

_QUEUE_RECORDS = 100_000
_BASE_PROPERTIES: dict[str, str | bool] = {
    "enable.idempotence": "true",
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": "5",
    # The local queue bounds memory; `write` waits for room before it adds a batch.
    "queue.buffering.max.messages": str(_QUEUE_RECORDS),
    "queue.buffering.max.kbytes": "65536",
    "partitioner": "murmur2_random",  # of the Java client, so that equal keys meet whoever sends them
    "delivery.report.only.error": True,  # confluent-kafka's own, and so a bool
    **RECONNECT,
}
_TRANSACTION_PROPERTIES = {
    # A dead worker's open transaction holds read_committed readers back for this long.
    "transaction.timeout.ms": "10000",
    # A commit that meets the last one's markers waits one back-off: 103 ms a commit at the default of 100, 6 ms so.
    "retry.backoff.ms": "1",
    "retry.backoff.max.ms": "5",
}
_CALL_TIMEOUT_S = 5.0  # one try; a call that times out is resumed by calling it again
_GIVE_UP_S = 12.0  # longer than transaction.timeout.ms: the coordinator has ended the transaction itself
_OFFSETS_TIMEOUT_S = 3.0  # as above, for the call that may hang; with a broker that is there it takes milliseconds
_PATIENCE_S = 4.0  # with that call
_WAIT_FOR_ROOM_S = 60.0


@dataclass(frozen=True, slots=True)
class Member:
    """The consumer whose work is committed, as it was when the partitions were assigned.

    `group_metadata` is for a transaction: work done under one assignment is committed as that one's, and after a
    rebalance the broker refuses it. `commit_later` hands offsets to the thread that polls, and never blocks: the client
    serves one call of a consumer at a time, and one from a second thread may wait for ever beside a poll that repeats.
    """

    group_metadata: object
    commit_later: Callable[[list[TopicPartition]], None]


class Output(Protocol):
    """Writes records and commits input offsets. Used from one thread at a time.

    A unit of work is any number of writes, one `send_offsets` before, between or after them, and `commit`. All may
    block while the broker is slow, and raise `RetryableError` after which nothing but `abort` may follow; the caller
    then starts again from the committed offsets. Any other error is fatal: the process must end.
    """

    def write(self, topic: str, records: Sequence[Record]) -> None:
        """Queue records, each a key and a value, in order."""

    def write_quarantined(self, topic: str, records: Sequence[Quarantined]) -> None:
        """Queue records with headers and no key, in order."""

    def send_offsets(self, offsets: Offsets, member: Member) -> None:
        """Say where to go on from after the next commit. Cheapest before the first write, see `TransactionalOutput`."""

    def commit(self) -> None:
        """Make everything written since the last commit visible, together with the offsets."""

    def abort(self) -> None:
        """Drop what was written since the last commit, as far as the guarantee allows."""

    def close(self) -> None:
        """Drop what is not committed and let go of the broker."""


class _ProducerOutput:
    def __init__(self, properties: Mapping[str, str], *, reports: bool) -> None:
        self._properties: dict[str, str | bool] = {**_BASE_PROPERTIES, **properties}
        self._reports = reports
        self._renew()

    def _renew(self) -> None:
        """Begin with a fresh producer; what the old one has not sent is dropped."""
        try:
            self._producer = Producer(self._properties)
        except KafkaException as exception:
            raise UserError(f"setting kafka: {exception.args[0].str()}") from None
        # A transaction's commit tells of failed deliveries; a report for each record would cost 0.2 µs.
        produce = self._producer.produce
        self._produce = partial(produce, on_delivery=self._on_delivery) if self._reports else produce
        self._failure: KafkaError | None = None

    def write(self, topic: str, records: Sequence[Record]) -> None:
        self._make_room(len(records))
        produce = self._produce  # for each record half the time of produce_batch, which wants dicts
        with _failures_of(topic):
            for key, value in records:
                produce(topic, value, key)
        self._producer.poll(0)

    def write_quarantined(self, topic: str, records: Sequence[Quarantined]) -> None:
        self._make_room(len(records))
        produce = self._produce
        with _failures_of(topic):
            for record in records:
                produce(topic, record.value, headers=record.headers)  # type: ignore[arg-type]  # lists are invariant
        self._producer.poll(0)

    def _make_room(self, count: int) -> None:
        deadline = time.monotonic() + _WAIT_FOR_ROOM_S
        while len(self._producer) + count > _QUEUE_RECORDS:
            self._producer.poll(0.01)
            if time.monotonic() > deadline:
                raise RetryableError("expected the broker to take records within 60 s, it did not")

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failure = error


class TransactionalOutput(_ProducerOutput):
    """Exactly once: outputs and offsets commit together or not at all.

    The broker is still closing a transaction when the next one begins, and refuses what comes for it. librdkafka then
    waits 20 ms before it adds a partition again, but only `retry.backoff.ms` before it adds offsets: with the offsets
    first, the partitions find the last transaction closed.

    `transactional_id` must be stable for a worker slot: a restarted worker then ends its dead predecessor's transaction
    at once instead of after transaction.timeout.ms.
    """

    def __init__(self, properties: Mapping[str, str], transactional_id: str) -> None:
        self._patience = _Patience()
        super().__init__({**_TRANSACTION_PROPERTIES, **properties, "transactional.id": transactional_id}, reports=False)

    def _renew(self) -> None:
        while True:
            super()._renew()
            try:
                _resume(lambda: self._producer.init_transactions(_CALL_TIMEOUT_S))
                break
            except RetryableError:
                log.warning("waiting for the broker to end the transaction before this one")
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if error.code() != KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
                    raise
                raise UserError(
                    f"transactional id {self._properties['transactional.id']}: {said(error.name(), error.str())}"
                ) from None
        self._producer.begin_transaction()

    def send_offsets(self, offsets: Offsets, member: Member) -> None:
        send = partial(
            self._producer.send_offsets_to_transaction, _positions(offsets), member.group_metadata, _OFFSETS_TIMEOUT_S
        )
        with _failed_transaction():
            _resume(lambda: self._patience.call(send))

    def commit(self) -> None:
        with _failed_transaction():
            _resume(lambda: self._producer.commit_transaction(_CALL_TIMEOUT_S))
        self._producer.begin_transaction()

    def abort(self) -> None:
        try:
            self._producer.abort_transaction(_CALL_TIMEOUT_S)
        except KafkaException as exception:
            # The broker was away, or ended the transaction itself after transaction.timeout.ms. Not worth waiting for:
            # a new producer of the same name ends whatever is left of this one's work, as after a crash.
            log.warning("producer renewed why=%r", exception.args[0].str())
            self._renew()
            return
        self._failure = None
        self._producer.begin_transaction()

    def close(self) -> None:
        with suppress(KafkaException):  # a broker that is away ends the transaction itself
            self._producer.abort_transaction(_CALL_TIMEOUT_S)


class AtLeastOnceOutput(_ProducerOutput):
    """At least once: flush, then commit the offsets. Lower latency, duplicates after a crash or rebalance."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        super().__init__(properties, reports=True)
        self._commit_offsets: Callable[[], None] = lambda: None

    def send_offsets(self, offsets: Offsets, member: Member) -> None:
        self._commit_offsets = partial(member.commit_later, _positions(offsets))

    def commit(self) -> None:
        while self._producer.flush(_CALL_TIMEOUT_S):
            pass  # librdkafka itself gives a record up after delivery.timeout.ms, which sets _failure
        if self._failure is not None:
            raise RetryableError(f"expected every record to be delivered: {self._failure.str()}")
        # Not waited for: an offset that does not arrive costs what this guarantee allows, records written again.
        self._commit_offsets()

    def abort(self) -> None:
        self._renew()

    def close(self) -> None:
        self._producer.flush(_CALL_TIMEOUT_S)


class _Patience:
    """Makes calls that may never return, in a thread of its own that is left behind with the one that does not.

    librdkafka 2.16 may never answer `send_offsets_to_transaction`, its timeout notwithstanding, when a broker restarts
    under the call (confluentinc/librdkafka issues 5456 and 5511, open).
    """

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        threading.Thread(target=_answer, args=[self._calls], name="offsets", daemon=True).start()

    def call(self, call: Callable[[], object]) -> None:
        """Make a call and raise what it raises; `RetryableError` when it has not returned in `_PATIENCE_S`."""
        answer: SimpleQueue[BaseException | None] = SimpleQueue()
        self._calls.put((call, answer))
        try:
            error = answer.get(timeout=_PATIENCE_S)
        except Empty:
            self._start()
            raise RetryableError(f"expected an answer to the offsets within {_PATIENCE_S:g} s, got none") from None
        if error is not None:
            raise error


_Call = tuple[Callable[[], object], "SimpleQueue[BaseException | None]"]


def _answer(calls: "SimpleQueue[_Call]") -> None:
    while True:
        call, answer = calls.get()
        try:
            call()
        except BaseException as error:
            answer.put(error)
        else:
            answer.put(None)


def _positions(offsets: Offsets) -> list[TopicPartition]:
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]


@contextmanager
def _failed_transaction() -> Iterator[None]:
    """Turn what a transaction raises into `RetryableError`, where an abort helps."""
    try:
        yield
    except KafkaException as exception:
        error: KafkaError = exception.args[0]
        if error.fatal() or error.txn_requires_abort():
            raise RetryableError(f"transaction: {error.str()}") from None
        raise


@contextmanager
def _failures_of(topic: str) -> Iterator[None]:
    """Turn what a producer raises for a record into `RetryableError`, where starting again helps."""
    try:
        yield
    except BufferError:
        raise RetryableError(f"{topic}: expected room in the producer's queue") from None
    except KafkaException as exception:
        if exception.args[0].code() not in _PRODUCER_FAILED:
            raise
        raise RetryableError(f"{topic}: {exception.args[0].str()}") from None


def _resume(call: Callable[[], object]) -> None:
    """Make a broker call, again while librdkafka says that it may be resumed; raise `KafkaException` otherwise.

    Raises `RetryableError` when it has not succeeded in `_GIVE_UP_S`.
    """
    deadline = time.monotonic() + _GIVE_UP_S
    while True:
        try:
            call()
            return
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            if not error.retriable():
                raise
            if time.monotonic() > deadline:
                raise RetryableError(f"expected the broker's answer within {_GIVE_UP_S:g} s: {error.str()}") from None
        time.sleep(0.1)


# What a producer answers to a record when its transaction, or the producer itself, has failed: the commit says why.
_PRODUCER_FAILED = {KafkaError._STATE, KafkaError._FATAL, KafkaError._FENCED}
