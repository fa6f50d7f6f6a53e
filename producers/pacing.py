"""Open-loop pacing: what is due follows from the clock alone, however long sending took."""

import time
from collections.abc import Callable

# Short enough that a Ctrl-C is seen at once, long enough that an idle producer costs nothing.
_MAX_WAIT_S = 0.1
# librdkafka's timers count milliseconds: a shorter wait would be none, and the loop would spin.
_MIN_WAIT_S = 0.001
MAX_BURST = 1000
"""The most that is handed out at once, so that a stop is seen soon and memory stays bounded after a stall."""


class Pace:
    """Says how many records are due at `rate` records/s (None: as many as go).

    Record i is due i/rate seconds after the first call, so the rate neither drifts nor sinks when the receiver is slow:
    what could not be sent in time stays due, and `behind_s` says how late it is (a closed loop would hide that:
    "coordinated omission"). `clock` returns seconds and never goes back.

    >>> now = iter([10.0, 10.5, 10.5]).__next__
    >>> pace = Pace(4, clock=now)
    >>> pace.due(), pace.due()
    (1, 3)
    """

    def __init__(self, rate: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        if rate is not None and not 0 < rate < float("inf"):
            raise ValueError(f"rate: expected more than 0 records/s, got {rate}")
        self._rate = rate
        self._clock = clock
        self._start: float | None = None
        self._sent = 0

    def due(self) -> int:
        """Return how many records are due now and not sent, at most `MAX_BURST`."""
        if self._rate is None:
            return MAX_BURST
        return max(0, min(MAX_BURST, int(self._elapsed_s() * self._rate) + 1 - self._sent))

    def sent(self, count: int) -> None:
        """Take note that `count` of what was due was sent."""
        self._sent += count

    def wait_s(self) -> float:
        """Return how long to wait until the next record is due, in seconds, kept between 1 and 100 ms."""
        if self._rate is None:
            return 0.0
        return min(_MAX_WAIT_S, max(_MIN_WAIT_S, self._sent / self._rate - self._elapsed_s()))

    def behind_s(self) -> float:
        """Return how late the next record is, in seconds; 0 when on time or without a rate."""
        if self._rate is None:
            return 0.0
        return max(0.0, self._elapsed_s() - self._sent / self._rate)

    def now_s(self) -> float:
        """Return the clock's time, in seconds."""
        return self._clock()

    def _elapsed_s(self) -> float:
        now = self._clock()
        if self._start is None:
            self._start = now
        return now - self._start
