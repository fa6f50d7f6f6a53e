"""The floor: a plain loop on confluent-kafka that does the same job exactly once, with no framework around it.

It is as fast as this job gets in Python here, and what it lacks is what CardioSentry adds: rebalances, quarantine,
state, authentication, health, recovery from errors.
"""

import signal
import time
from pathlib import Path
from types import FrameType
from typing import cast

from confluent_kafka import Consumer, KafkaException, Message, Producer

from benchmarks.peers.job import Job, JobSettings

BATCH_RECORDS = 4000
COMMIT_INTERVAL_S = 0.5


class Floor:
    """Consume, decode, score, encode, produce; commit every half second, and at once when nothing is left to read."""

    def __init__(self, settings: JobSettings) -> None:
        self._job = Job(Path(settings.model))
        self._output = settings.output
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": settings.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "queued.min.messages": 200_000,
            }
        )
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap,
                "transactional.id": settings.group,
                "linger.ms": 5,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000,
                # A transaction waits one back-off for the markers of the one before it: 100 ms by default.
                "retry.backoff.ms": 5,
            }
        )
        self._consumer.subscribe([settings.input])
        self._open = False
        self._committed_at = time.monotonic()
        self._ending = False

    def run(self) -> None:
        """Work until SIGTERM."""
        signal.signal(signal.SIGTERM, self._end)
        self._producer.init_transactions(60)
        while not self._ending:
            first = self._consumer.poll(0)
            if first is None:
                self._commit()
                first = self._consumer.poll(0.1)
            if first is not None:
                self._process([first, *self._consumer.consume(BATCH_RECORDS - 1, 0)])
            if time.monotonic() - self._committed_at >= COMMIT_INTERVAL_S:
                self._commit()
        self._commit()
        self._consumer.close()

    def _process(self, messages: list[Message]) -> None:
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
        if not self._open:
            self._producer.begin_transaction()
            self._open = True
        predictions = self._job.batch([cast(bytes, message.value()) for message in messages])
        records = [{"key": m.key(), "value": value} for m, value in zip(messages, predictions, strict=True)]
        if self._producer.produce_batch(self._output, records) != len(records):
            raise BufferError("expected the producer's queue to take the batch")
        self._producer.poll(0)

    def _commit(self) -> None:
        self._committed_at = time.monotonic()
        if not self._open:
            return
        positions = self._consumer.position(self._consumer.assignment())
        self._producer.send_offsets_to_transaction(positions, self._consumer.consumer_group_metadata())
        self._producer.commit_transaction()
        self._open = False

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True


if __name__ == "__main__":
    Floor(JobSettings.from_environ()).run()
