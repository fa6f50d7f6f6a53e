"""Counts of the last minutes in slots of time: memory is bounded whatever comes, and old slots fall out."""

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


class Ring:
    """Counts of `width` things in `slots` slots of `step_ms` each; times are epoch milliseconds of one clock.

    >>> ring = Ring(1, slots=3, step_ms=1000)
    >>> ring.add(5_000, [2], now_ms=5_100)
    >>> ring.series(6_900).ravel().tolist()
    [0, 2, 0]
    """

    def __init__(self, width: int, *, slots: int, step_ms: int) -> None:
        self._counts = np.zeros((slots, width), np.int64)
        self._slots, self._step_ms = slots, step_ms
        self._newest = 0

    def add(self, at_ms: int, counts: "npt.ArrayLike", *, now_ms: int) -> None:
        """Add what was counted at `at_ms`: older than the span is left out, yet to come counts as now."""
        self._turn(now_ms)
        slot = min(at_ms // self._step_ms, self._newest)
        if slot > self._newest - self._slots:
            self._counts[slot % self._slots] += np.asarray(counts, np.int64)

    def series(self, now_ms: int) -> Counts:
        """Return the counts by slot, (slots, width), oldest first; the last slot is still filling."""
        self._turn(now_ms)
        return np.roll(self._counts, -(self._newest % self._slots) - 1, axis=0)

    def total(self, now_ms: int) -> Counts:
        """Return the counts of the whole span, (width,)."""
        self._turn(now_ms)
        found: Counts = self._counts.sum(axis=0)
        return found

    def covered_ms(self, now_ms: int) -> int:
        """Return how far back the oldest slot reaches in which something was counted; 0 where there is none."""
        counted = self.series(now_ms).any(axis=1)
        first = self._newest - self._slots + 1 + int(counted.argmax())
        return now_ms - first * self._step_ms if counted.any() else 0

    def _turn(self, now_ms: int) -> None:
        """Empty the slots that time has passed since the last call."""
        newest = now_ms // self._step_ms
        passed = min(newest - self._newest, self._slots)
        for slot in range(newest - passed + 1, newest + 1):
            self._counts[slot % self._slots] = 0
        self._newest = max(self._newest, newest)
