"""The heart of a worker: process polls in their order, commit outputs with offsets, start again after a failure.

Two threads meet here, the pipeline's (`process`, `commit_if_due`) and the poller's (`partitions_*`); one lock orders
them. An epoch numbers the stretches between rebalances and rewinds: a poll of an earlier epoch is dropped, because its
records will be fetched again by whoever holds the partition now.

The rules that keep every event, once:

1. A poll is processed only if it starts where the last one of each partition ended. A gap means that one was lost
   on the way; then everything since the last commit is aborted and fetched again.
2. Before a partition is given back, what was processed is committed (or aborted). If it was lost, it is aborted, at the
   latest before anything else is processed: the poller does not wait for that, because a member that is slow to let
   go of what it lost goes on calling the group under a name that the broker may have given away, and is thrown out.
3. A failed commit is aborted, and everything since the last commit is fetched again.
"""

import threading
import time
from collections.abc import Callable, Container, Mapping, Sequence

from contracts.errors import RetryableError
from contracts.topics import QUARANTINE
from stream_app.batch import UNKNOWN_START, Batch, Poll
from stream_app.in_flight import InFlight
from stream_app.output import Member, Output
from stream_app.pipeline import Memory, Pipeline, Result
from stream_app.telemetry import Telemetry

_FIRST_BACK_OFF_S = 0.1
_MAX_BACK_OFF_S = 2.0
_REVOKE_S = 5.0  # the group waits for a member that does not let go; a commit that takes longer is refused anyway

_STALLED_S = 5.0
"""Fetched but never processed for so long while nothing else is: the poll was lost on the way."""


class Processor:
    """Runs pipelines over what was polled and owns the transaction.

    `pipelines` maps a topic's full name to its pipeline; `memories` are what they keep. What comes of the topics that
    `may_wait` is committed when the interval is over or with others. `prefix` goes before the names of output topics.
    """

    def __init__(
        self,
        pipelines: Mapping[str, Pipeline],
        output: Output,
        telemetry: Telemetry,
        *,
        memories: Sequence[Memory] = (),
        may_wait: Container[str] = (),
        prefix: str,
        commit_interval_s: float,
        clock_ms: Callable[[], int],
    ) -> None:
        self.pipelines = pipelines
        self._output = output
        self._telemetry = telemetry
        self._memories = memories
        self._may_wait = may_wait
        self._prefix = prefix
        self._commit_interval_s = commit_interval_s
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self.epoch = 0
        self._member: Member | None = None
        self.in_flight = InFlight()
        self._ends: dict[tuple[str, int], int] = {}
        self._uncommitted: dict[tuple[str, int], int] = {}
        self._committed_at = self._progress_at = time.monotonic()
        self._back_off_s = 0.0  # before the next rewind is answered; 0 after a commit
        self._lost = threading.Event()  # partitions were lost, and what was processed of them is not aborted yet
        self.rewind_wanted = threading.Event()  # the poller answers it: it alone may move the consumer

    # The pipeline's thread

    def process(self, poll: Poll) -> None:
        """Process what one poll brought and commit if it is time. Raises only what must end the worker."""
        with self._lock:
            try:
                self._abort_what_was_lost()
                if poll.epoch == self.epoch:
                    self._process(poll)
            except RetryableError as error:
                self._rewind(error)
        self.in_flight.finished(poll.epoch)

    def commit_if_due(self) -> None:
        """Commit what has waited long enough; find polls that were lost on the way. Called by a timer."""
        with self._lock:
            try:
                self._abort_what_was_lost()
                if self._uncommitted and self._interval_is_over():
                    self._commit()
                if (waiting := self._waiting()) and time.monotonic() - self._progress_at > _STALLED_S:
                    raise RetryableError(f"expected {waiting} more polls, none came")
            except RetryableError as error:
                self._rewind(error)

    def _process(self, poll: Poll) -> None:
        # With nothing left behind latency counts, with a backlog the rate.
        hurries = any(batch.topic not in self._may_wait for batch in poll.batches)
        due = (poll.caught_up and hurries) or self._interval_is_over()
        ends = poll.ends()
        begun_s = self._begin_commit(ends) if due else 0.0
        for batch in poll.batches:
            self._process_batch(batch)
        self._ends |= ends
        self._uncommitted |= ends
        if due:
            self._end_commit(begun_s)

    def _process_batch(self, batch: Batch) -> None:
        for span in batch.spans:
            expected = self._ends.get((batch.topic, span.partition), UNKNOWN_START)
            if span.start != expected:
                raise RetryableError(
                    f"{batch.topic}/{span.partition}: expected records from {expected} on, not {span.start}"
                )
        result = self.pipelines[batch.topic](batch, self._clock_ms())
        started = time.monotonic()
        self._write(result)
        self._progress_at = time.monotonic()
        result.seconds["write"] = self._progress_at - started
        self._telemetry.processed(batch, result, self._clock_ms())

    def _write(self, result: Result) -> None:
        for topic, records in result.outputs.items():
            self._output.write(self._prefix + topic, records)
        if result.quarantined:
            self._output.write_quarantined(self._prefix + QUARANTINE.name, result.quarantined)

    def _interval_is_over(self) -> bool:
        return time.monotonic() - self._committed_at >= self._commit_interval_s

    def _commit(self) -> None:
        self._end_commit(self._begin_commit({}))

    def _begin_commit(self, ends: dict[tuple[str, int], int]) -> float:
        """Send the offsets, `ends` for what is yet to be processed; return how long that took, seconds."""
        started = time.monotonic()
        assert self._member is not None  # noqa: S101 - set before the first poll
        self._output.send_offsets(self._uncommitted | ends, self._member)
        return time.monotonic() - started

    def _end_commit(self, begun_s: float) -> None:
        started = time.monotonic()
        self._output.commit()
        self._uncommitted.clear()
        for memory in self._memories:
            memory.committed()
        self._committed_at = self._progress_at = time.monotonic()
        self._back_off_s = 0.0
        self._telemetry.committed(begun_s + self._committed_at - started)

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
        self._ends.clear()
        self._uncommitted.clear()
        for memory in self._memories:
            memory.aborted()
        self._progress_at = time.monotonic()

    def waits_s(self) -> float:
        """Return how long work has waited without a commit, seconds; 0 while there is none."""
        return time.monotonic() - self._committed_at if self._uncommitted or self._waiting() else 0.0

    def _waiting(self) -> int:
        """Return how many polls of this epoch are on their way."""
        return self.in_flight.count(self.epoch)

    # The poller's thread

    def partitions_assigned(self, count: int, member: Member) -> int:
        """Begin an epoch with a new assignment; return its number."""
        with self._lock:
            self._abort_what_was_lost()
            self._member = member
            self._next_epoch()
            for memory in self._memories:
                memory.reassigned()
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
