"""The heart of a worker: process batches in their order, commit outputs with offsets, start again after a failure.

Two threads meet here, the pipeline's (`process`, `commit_if_due`) and the poller's (`partitions_*`); one lock orders
them. An epoch numbers the stretches between rebalances and rewinds: a batch of an earlier epoch is dropped, because its
records will be fetched again by whoever holds the partition now.

The rules that keep every event, once:

1. A batch is processed only if it starts where the last one of its partition ended. A gap means that a batch was lost
   on the way; then everything since the last commit is aborted and fetched again.
2. Before a partition is given back, what was processed is committed (or aborted). If it was lost, it is aborted, at the
   latest before anything else is processed: the poller does not wait for that, because a member that is slow to let
   go of what it lost goes on calling the group under a name that the broker may have given away, and is thrown out.
3. A failed commit is aborted, and everything since the last commit is fetched again.
"""

import threading
import time
from collections.abc import Callable, Mapping

from contracts.errors import RetryableError
from contracts.topics import QUARANTINE
from stream_app.batch import UNKNOWN_START, Batch
from stream_app.output import Member, Output
from stream_app.pipeline import Pipeline, Result
from stream_app.telemetry import Telemetry

_CAUGHT_UP_S = 0.01
"""While polls drain the broker, commit this often; when they do not, there is a backlog, and rate counts, not latency.

A commit takes 6 to 8 ms, so this spends less than half of the time on commits."""

_FIRST_BACK_OFF_S = 0.1
_MAX_BACK_OFF_S = 2.0
_REVOKE_S = 5.0  # the group waits for a member that does not let go; a commit that takes longer is refused anyway

_STALLED_S = 5.0
"""Fetched but never processed for so long while nothing else is: the batch was lost on the way."""


class Processor:
    """Runs pipelines over batches and owns the transaction.

    `pipelines` maps a topic's full name to its pipeline; `prefix` goes before the name of every output topic.
    """

    def __init__(
        self,
        pipelines: Mapping[str, Pipeline],
        output: Output,
        telemetry: Telemetry,
        *,
        prefix: str,
        commit_interval_s: float,
        clock_ms: Callable[[], int],
    ) -> None:
        self.pipelines = pipelines
        self._output = output
        self._telemetry = telemetry
        self._prefix = prefix
        self._commit_interval_s = commit_interval_s
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self.epoch = 0
        self._member: Member | None = None
        self._fetched = (0, 0)  # epoch, and how many of its batches were handed over; written by the poller alone
        self._processed = 0  # batches of this epoch
        self._ends: dict[tuple[str, int], int] = {}
        self._uncommitted: dict[tuple[str, int], int] = {}
        self._committed_at = self._progress_at = time.monotonic()
        self._back_off_s = 0.0  # before the next rewind is answered; 0 after a commit
        self._lost = threading.Event()  # partitions were lost, and what was processed of them is not aborted yet
        self.rewind_wanted = threading.Event()  # the poller answers it: it alone may move the consumer

    # The pipeline's thread

    def process(self, batch: Batch) -> None:
        """Process one batch and commit if it is time. Raises only what must end the worker."""
        with self._lock:
            try:
                self._abort_what_was_lost()
                if batch.epoch == self.epoch:
                    self._process(batch)
                    self._commit_if_due(drained=batch.drained)
            except RetryableError as error:
                self._rewind(error)

    def commit_if_due(self) -> None:
        """Commit what has waited long enough; find batches that were lost on the way. Called by a timer."""
        with self._lock:
            try:
                self._abort_what_was_lost()
                self._commit_if_due()
                if self._waiting() and time.monotonic() - self._progress_at > _STALLED_S:
                    raise RetryableError(f"expected {self._waiting()} more batches, none came")
            except RetryableError as error:
                self._rewind(error)

    def _process(self, batch: Batch) -> None:
        partition = (batch.topic, batch.partition)
        expected = self._ends.get(partition, UNKNOWN_START)
        if batch.start != expected:
            raise RetryableError(
                f"{batch.topic}/{batch.partition}: expected the batch at {expected}, got {batch.start}"
            )
        result = self.pipelines[batch.topic](batch, self._clock_ms())
        self._write(result)
        self._ends[partition] = self._uncommitted[partition] = batch.end
        self._processed += 1
        self._progress_at = time.monotonic()
        self._telemetry.processed(batch, result, self._clock_ms())

    def _write(self, result: Result) -> None:
        for topic, records in result.outputs.items():
            self._output.write(self._prefix + topic, records)
        for quarantined in result.quarantined:
            self._output.write_one(self._prefix + QUARANTINE.name, quarantined.value, quarantined.headers)

    def _commit_if_due(self, *, drained: bool = False) -> None:
        if not self._uncommitted:
            return
        age_s = time.monotonic() - self._committed_at
        if not self._waiting() or (drained and age_s >= _CAUGHT_UP_S) or age_s >= self._commit_interval_s:
            self._commit()

    def _commit(self) -> None:
        started = time.monotonic()
        assert self._member is not None  # noqa: S101 - set before the first batch
        self._output.commit(self._uncommitted, self._member)
        self._uncommitted.clear()
        self._committed_at = self._progress_at = time.monotonic()
        self._back_off_s = 0.0
        self._telemetry.committed(self._committed_at - started)

    def _rewind(self, error: RetryableError) -> None:
        """Abort and ask the poller to fetch again from the last commit."""
        self._telemetry.rewound(str(error))
        self._output.abort()
        self._next_epoch()
        # What fails again and again, an access right say, is not to be a hot loop.
        time.sleep(self._back_off_s)
        self._back_off_s = min(2 * self._back_off_s or _FIRST_BACK_OFF_S, _MAX_BACK_OFF_S)
        self.rewind_wanted.set()

    def _abort_what_was_lost(self) -> None:
        if self._lost.is_set():
            self._lost.clear()
            self._output.abort()
            self._next_epoch()

    def _next_epoch(self) -> None:
        self.epoch += 1
        self._processed = 0
        self._ends.clear()
        self._uncommitted.clear()
        self._progress_at = time.monotonic()

    def waits_s(self) -> float:
        """Return how long work has waited without a commit, seconds; 0 while there is none."""
        return time.monotonic() - self._committed_at if self._uncommitted or self._waiting() else 0.0

    def _waiting(self) -> int:
        """Return how many batches of this epoch are on their way."""
        epoch, fetched = self._fetched
        return fetched - self._processed if epoch == self.epoch else 0

    # The poller's thread

    def fetched(self, epoch: int) -> None:
        """Note that one more batch of `epoch` is on its way."""
        last, count = self._fetched
        self._fetched = (epoch, count + 1 if last == epoch else 1)

    def partitions_assigned(self, count: int, member: Member) -> int:
        """Begin an epoch with a new assignment; return its number."""
        with self._lock:
            self._abort_what_was_lost()
            self._member = member
            self._next_epoch()
            self.rewind_wanted.clear()  # a fresh assignment starts from the last commit anyway
            self._telemetry.assigned(count)
            return self.epoch

    def partitions_revoked(self) -> None:
        """Commit what was processed; nothing of the old assignment is committed after this returns."""
        if not self._lock.acquire(timeout=_REVOKE_S):
            self.partitions_lost()
            return
        try:
            try:
                self._abort_what_was_lost()
                if self._uncommitted:
                    self._commit()
            except RetryableError as error:
                self._telemetry.rewound(str(error))
                self._output.abort()
            self._next_epoch()
            self._telemetry.assigned(0)
        finally:
            self._lock.release()

    def partitions_lost(self) -> None:
        """Have aborted what was processed: the partitions are somebody else's already. Never blocks."""
        self._lost.set()
        self._telemetry.rewound("partitions lost")
        self._telemetry.assigned(0)

    def close(self) -> None:
        """Let go of the output; call it after the poller stopped."""
        with self._lock:
            self._output.close()
