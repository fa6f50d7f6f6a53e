"""Publishing: every record handed over is delivered once and in order, or somebody is told."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from contracts.errors import UserError
from contracts.mac import Keyring
from contracts.refusals import explain, protocol, said
from contracts.topics import MAX_RECORD_BYTES
from producers.report import PublishFailed, Report, TopicCount
from producers.sign import Signer
from producers.sources import SourceRecord

# What may wait in memory: enough for half a second at the highest rate, little beside the interpreter.
_MAX_WAITING_RECORDS = 100_000
_MAX_WAITING_KIB = 64 * 1024
# A topic that does not exist and is not created by asking for it fails after this, not after librdkafka's 30 s.
_UNKNOWN_TOPIC_MS = 5000
_TRY_S = 1.0  # one try to connect; between two it is heard why there was no answer
_TELL_S = 0.1

OnDelivered = Callable[[str, int, int, SourceRecord], None]
"""Called with topic, partition, offset and the record, in the thread of the publisher, once for each delivery."""


class Publisher:
    """An idempotent, signing producer (a `producers.sources.Sink`), for one thread.

    `keyring` None sends without MACs. `properties` are librdkafka's and win over the defaults here. `connect_timeout_s`
    bounds the wait for a first answer, `delivery_timeout_s` the time from `send` to a confirmation; what is not
    confirmed by then counts as failed, and `send`, `poll` or `close`, whichever comes next, raises `PublishFailed`.
    As a context manager it closes at the end; after an exception it still flushes, and the first exception stands.

    Raises `UserError` on construction for a property that librdkafka refuses or when no broker answers.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        topic_prefix: str = "",
        keyring: Keyring | None = None,
        properties: Mapping[str, str] | None = None,
        connect_timeout_s: float = 10.0,
        delivery_timeout_s: float = 30.0,
        on_delivered: OnDelivered | None = None,
    ) -> None:
        self._bootstrap, self._protocol = bootstrap, protocol(properties or {})
        self._prefix = topic_prefix
        self._signer = Signer(keyring) if keyring is not None else None
        self._delivery_timeout_s = delivery_timeout_s
        self._on_delivered = on_delivered
        self._report = Report({})
        self._routes: dict[str, _Route] = {}
        self._first_failure = ""
        self._last_error = self._refused = ""
        self._closed = False
        config: dict[str, Any] = {
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            # The partitioner of the Java client, so that a patient's records meet in one partition whoever sends them.
            "partitioner": "murmur2_random",
            "message.max.bytes": MAX_RECORD_BYTES,
            "message.timeout.ms": int(delivery_timeout_s * 1000),
            "topic.metadata.propagation.max.ms": _UNKNOWN_TOPIC_MS,
            "queue.buffering.max.messages": _MAX_WAITING_RECORDS,
            "queue.buffering.max.kbytes": _MAX_WAITING_KIB,
            "log_level": 2,  # what librdkafka would print of a lost broker comes to `_on_error` too
            **(properties or {}),
            "bootstrap.servers": bootstrap,
            "delivery.report.only.error": False,  # the count depends on it
            "error_cb": self._on_error,
        }
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise UserError(f"Kafka properties: {error.args[0].str()}") from None
        self._connect(connect_timeout_s)

    def send(self, records: Sequence[SourceRecord]) -> None:
        """See `producers.sources.Sink.send`; raises `PublishFailed` once a record has failed, of these or before."""
        if self._closed:
            raise ValueError("publisher: expected records before close, got some after it")
        produce, hook = self._producer.produce, self._on_delivered
        sign = self._signer.headers if self._signer is not None else None
        for record in records:
            route = self._routes.get(record.topic.name) or self._add_route(record.topic.name)
            key, value, headers = record.key, record.value, record.headers
            if headers is None:
                headers = sign(record.source, key, value) if sign is not None else []
            report = route.delivered if hook is None else partial(route.delivered_to, hook, record)
            route.count.sent += 1
            while True:
                try:
                    produce(route.topic, value, key, on_delivery=report, headers=headers)
                    break
                except BufferError:
                    # The queue is full: let brokers confirm some. Ends at the latest when messages time out.
                    self._producer.poll(0.1)
                except KafkaException as error:
                    route.fail(error.args[0])
                    break
            if self._first_failure:
                break
        self.poll(0)

    def poll(self, timeout_s: float) -> None:
        """See `producers.sources.Sink.poll`: hear what the brokers confirmed."""
        self._producer.poll(timeout_s)
        if self._first_failure:
            raise PublishFailed(self._failure_text(), self._report)

    def close(self) -> Report:
        """Wait for all confirmations, at most the delivery timeout; return the final count or raise `PublishFailed`."""
        self._flush()
        if self._report.failed:
            raise PublishFailed(self._failure_text(), self._report)
        return self._report

    @property
    def report(self) -> Report:
        """The count so far."""
        return self._report

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self._flush()

    def _flush(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._producer.flush(self._delivery_timeout_s + 1)
        for count in self._report.topics.values():
            unknown = count.sent - count.delivered - count.failed
            if unknown:
                count.failed += unknown
                self._first_failure = self._first_failure or "no confirmation in time"

    def _connect(self, timeout_s: float) -> None:
        """Ask for metadata: whether the cluster answers is known before the first patient's record is made."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._producer.list_topics(timeout=min(_TRY_S, timeout_s))
                return
            except KafkaException as error:
                self._producer.poll(_TELL_S)  # runs _on_error, which knows more than "timed out"
                why = self._last_error or error.args[0].str()
            if self._refused:
                raise UserError(f"Kafka at {self._bootstrap}: {self._refused}")
            if time.monotonic() > deadline:
                raise UserError(
                    f"bootstrap: expected a Kafka broker at {self._bootstrap}, got none within {timeout_s:g} s ({why}; "
                    f"asked in {self._protocol})"
                )

    def _add_route(self, name: str) -> "_Route":
        route = self._routes[name] = _Route(self._prefix + name, self._on_failure)
        self._report.topics[route.topic] = route.count
        return route

    def _on_failure(self, text: str) -> None:
        self._first_failure = self._first_failure or text

    def _on_error(self, error: KafkaError) -> None:
        # "All brokers down" follows the error that says why.
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self._last_error:
            self._last_error = error.str()
        self._refused = explain(error.name(), error.str()) or self._refused
        if error.fatal():
            self._on_failure(error.str())

    def _failure_text(self) -> str:
        report = self._report
        why = f"{self._first_failure}; last error of the cluster: {self._last_error}" if self._last_error else ""
        return (
            f"{self._bootstrap}: expected every record to be delivered, got {report.failed} failures "
            f"among {report.sent}: {why or self._first_failure}"
        )


class _Route:
    """A topic, its count, and what to do with its delivery reports."""

    def __init__(self, topic: str, on_failure: Callable[[str], None]) -> None:
        self.topic = topic
        self.count = TopicCount()
        self._on_failure = on_failure

    def delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.count.delivered += 1
        else:
            self.fail(error)

    def delivered_to(self, hook: OnDelivered, record: SourceRecord, error: KafkaError | None, message: Message) -> None:
        self.delivered(error, message)
        if error is None:
            # A delivered message has both; the types allow for messages made by hand.
            hook(self.topic, cast(int, message.partition()), cast(int, message.offset()), record)

    def fail(self, error: KafkaError) -> None:
        self.count.failed += 1
        self._on_failure(f"topic {self.topic}: {said(error.name(), error.str())}")
