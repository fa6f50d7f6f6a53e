"""The two threads around the system under test: one sends signed patient events, one reads what comes out."""

import threading
import time
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from contracts.mac import Keyring
from contracts.topics import PREDICTIONS, QUARANTINE
from producers.malformed import WithMalformed
from producers.pacing import Pace
from producers.publish import Publisher
from producers.run import run
from producers.sign import Signer
from producers.sources import SourceRecord
from producers.synthetic import SyntheticPatients
from stream_app.quarantine import ORIGIN_HEADER, REASON_HEADER
from tests.chaos.ledger import Ledger
from tests.support.site import Site

_DELIVERY_TIMEOUT_S = 300.0  # longer than any outage here: a sender that gives up would be a lost event of its own
_PATIENTS = 2000


class Uptime:
    """Seconds that pass only while the broker is there, so that an outage does not use up the time for the others."""

    def __init__(self) -> None:
        self._paused_at: float | None = None
        self._away_s = 0.0

    def __call__(self) -> float:
        now_s = time.monotonic() if self._paused_at is None else self._paused_at
        return now_s - self._away_s

    def pause(self) -> None:
        self._paused_at = time.monotonic()

    def resume(self) -> None:
        assert self._paused_at is not None
        self._away_s += time.monotonic() - self._paused_at
        self._paused_at = None


class Sender(threading.Thread):
    """Publishes patient events, at least `events` of them, until it is told to stop, and enters each in the ledger."""

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        site: Site,
        ledger: Ledger,
        *,
        events: int,
        rate: float,
        malformed: float,
        seed: int,
    ) -> None:
        super().__init__(name="sender", daemon=True)
        self.uptime = Uptime()
        self.failure: BaseException | None = None
        self.made = 0
        self.stop_wanted = False
        """Set it to end once `events` are made."""
        self._stop_now = False
        self._events, self._rate = events, rate
        self._ledger = ledger
        self._address, self._prefix = bootstrap, prefix
        self._keyring: Keyring = site.keyring
        patients = SyntheticPatients(pseudonym_key=site.pseudonym_key, seed=seed, patients=_PATIENTS)
        self._source = WithMalformed(patients, fraction=malformed, seed=seed, signer=Signer(self._keyring))

    def stop(self) -> None:
        """End at once; what was handed over is still delivered."""
        self._stop_now = True
        self.join()

    def run(self) -> None:
        try:
            with Publisher(
                self._address,
                topic_prefix=self._prefix,
                keyring=self._keyring,
                delivery_timeout_s=_DELIVERY_TIMEOUT_S,
                on_delivered=self._delivered,
            ) as publisher:
                run(
                    self._source,
                    publisher,
                    Pace(self._rate, clock=self.uptime),
                    stop=lambda: self._stop_now or (self.stop_wanted and self.made >= self._events),
                    on_progress=lambda progress: setattr(self, "made", progress.sent),
                )
        except BaseException as error:
            self.failure = error

    def _delivered(self, _: str, partition: int, offset: int, record: SourceRecord) -> None:
        self._ledger.sent(partition, offset, record.event_id, record.expected)


class Reader(threading.Thread):
    """Reads predictions and quarantine, committed records alone, and enters them in the ledger."""

    def __init__(self, bootstrap: str, prefix: str, ledger: Ledger, partitions: int) -> None:
        super().__init__(name="reader", daemon=True)
        self._ledger = ledger
        self._predictions, self._quarantine = prefix + PREDICTIONS.name, prefix + QUARANTINE.name
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "chaos-reader",  # asked for, never joined: partitions are assigned by hand
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                # Never skip what the log lost: an offset out of range must show, not be jumped over.
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in (self._predictions, self._quarantine)
                for partition in range(partitions)
            ]
        )
        self._finish = threading.Event()
        self.failure: BaseException | None = None

    def finish(self) -> None:
        """Read to the end of every partition and stop; call it when nothing writes any more."""
        self._finish.set()
        self.join()

    def run(self) -> None:
        try:
            self._read()
        except BaseException as error:
            self.failure = error
        finally:
            self._consumer.close()

    def _read(self) -> None:
        ended: set[tuple[Any, Any]] = set()
        quiet_since = time.monotonic()
        while not self._finish.is_set() or len(ended) < len(self._consumer.assignment()):
            messages = self._consumer.consume(2000, 0.05)
            now_s = time.time()
            for message in messages:
                place = (message.topic(), message.partition())
                error = message.error()
                if error is None:
                    self._enter(now_s, message)
                    ended.discard(place)
                    quiet_since = time.monotonic()
                elif error.name() == "_PARTITION_EOF":
                    ended.add(place)
                elif error.name() in {"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"}:
                    raise AssertionError(f"reader: {error.str()}")
            if self._finish.is_set() and time.monotonic() - quiet_since > 60:
                raise AssertionError(f"reader: expected the end of every partition, got it of {sorted(ended)}")

    def _enter(self, now_s: float, message: Message) -> None:
        if message.topic() == self._predictions:
            self._ledger.predicted(now_s, message.value() or b"")
        else:
            headers: dict[str, bytes] = dict(message.headers() or ())  # type: ignore[arg-type]  # consumed ones are bytes
            partition, offset = headers[ORIGIN_HEADER].decode().split("/")[1:]
            self._ledger.quarantined(f"{partition}/{offset}", headers[REASON_HEADER].decode())
