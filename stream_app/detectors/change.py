"""Whether the last windows of a stream are further from a reference than chance takes them.

The user says one thing: how many windows may lie between two false alarms on average. From it follows how rare a value
must be, given how many statistics look at the same stream (models/scores.py turns sums into scores, models/nulls.py
says what chance does to them). Windows have at least `window_events` events; the statistics hold for any number from
there on.
"""

import math
from dataclasses import dataclass
from operator import itemgetter

import msgspec
import numpy as np

from contracts.reference import ALL
from models.outcomes import Performance
from models.recent import LONGEST, push
from models.scores import Floats, Statistics
from models.sketch import Sketch


class DetectorState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a detector remembers: `windows` so far and buckets [(windows, sketch)], newest first. A few KB of JSON."""

    windows: int = 0
    buckets: tuple[tuple[int, Sketch], ...] = ()


class ChangeFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One statistic that is too far from the reference: what every detector says of it.

    `windows_by_chance` is how many windows lie between two values as high on a clean stream, `threshold` how many that
    must be for an alarm. The change has been rising over `windows`, of `events` events in all, the first of them number
    `since_window`. `expected_performance` is the model's on the reference, `estimated_performance` on these events, by
    their scores alone.
    """

    statistic: str
    windows_by_chance: float
    threshold: float
    since_window: int
    windows: int
    events: int
    expected_performance: Performance
    estimated_performance: Performance


@dataclass(frozen=True, slots=True)
class Change:
    """Statistic number `statistic` is too far: for `windows`, of `events` events with these `totals`, in all.

    `rarity` is the log of how many windows lie between two values as high by chance; `scores` are those of every
    statistic over the same windows.
    """

    statistic: int
    rarity: float
    windows: int
    events: int
    totals: Floats
    scores: Floats


class ChangeDetector:
    """Compares a stream, window by window, by some statistics.

    `mean_windows_between_false_alarms` is at least the least spacing of the reference (20). `statistic` looks at one
    alone; without it all of them are watched, and the spacing is that of all together. After an alarm it starts anew.
    """

    def __init__(
        self,
        statistics: Statistics,
        mean_windows_between_false_alarms: float,
        *,
        statistic: str = ALL,
        state: DetectorState | None = None,
    ) -> None:
        least = statistics.spacings[0]
        if not mean_windows_between_false_alarms >= least:
            raise ValueError(
                f"mean windows between false alarms: expected at least {least:g}, "
                f"got {mean_windows_between_false_alarms:g}"
            )
        self._statistics = statistics
        self.names = statistics.names
        if statistic not in {ALL, *self.names}:
            raise ValueError(f"statistic: expected one of {', '.join(self.names)}, got {statistic!r}")
        self._alone = None if statistic == ALL else self.names.index(statistic)
        self.threshold = math.log(mean_windows_between_false_alarms)
        if self._alone is None:
            self.threshold = statistics.needed_rarity(self.threshold)
        self._windows = 0
        self._buckets: list[tuple[int, Floats]] = []  # events first, then the totals
        if state:
            self._windows = state.windows
            self._buckets = [(size, np.array([each.events, *each.totals], np.float64)) for size, each in state.buckets]

    @property
    def state(self) -> DetectorState:
        """What to hand to the next detector of the same reference, so that it goes on where this one is."""
        buckets = ((size, row.astype(np.int64).tolist()) for size, row in self._buckets)
        return DetectorState(self._windows, tuple((size, Sketch(row[0], tuple(row[1:]))) for size, row in buckets))

    def rarities(self, window: Sketch) -> dict[str, float]:
        """Take a window in and return for each statistic the log of how many windows lie between two values as high."""
        scores, _ = self._scores(window)
        return dict(zip(self.names, self._statistics.rarity(scores.max(axis=0)).tolist(), strict=True))

    def distances(self, sketch: Sketch) -> dict[str, float]:
        """Return for each statistic how far a set of events is from the reference: 1 is as rare as an alarm, 0 usual.

        That is the log of how many windows lie between two such values, over that of an alarm. Nothing is taken in.
        """
        totals, events = np.array([sketch.totals], np.float64), np.array([sketch.events], np.float64)
        rarities = self._statistics.rarity(self._statistics.scores(totals, events)[0])
        return dict(zip(self.names, np.maximum(rarities / self.threshold, 0.0).tolist(), strict=True))

    def changes(self, window: Sketch) -> list[Change]:
        """Take a window in; return what is too far from the reference, the rarest first: mostly nothing.

        Raises `ValueError` for a window of too few events or of other columns, and then has not taken it in.
        """
        scores, sums = self._scores(window)
        rarities = self._statistics.rarity(scores.max(axis=0))
        alarms = np.flatnonzero(rarities >= self.threshold).tolist()
        if self._alone is not None:
            alarms = [each for each in alarms if each == self._alone]
        if not alarms:
            return []
        found = []
        for at in sorted(alarms, key=lambda each: -float(rarities[each])):
            since = int(scores[:, at].argmax())
            windows = sum(size for size, _ in self._buckets[: since + 1])
            events, totals = int(sums[since, 0]), sums[since, 1:]
            found.append(Change(at, float(rarities[at]), windows, events, totals, scores[since]))
        self._buckets.clear()
        return found

    def _scores(self, window: Sketch) -> tuple[Floats, Floats]:
        """Take a window in; return scores (beginnings, statistics) and sums since each beginning."""
        least = self._statistics.window_events
        if window.events < least:
            raise ValueError(f"window: expected at least {least} events, got {window.events}")
        if len(window.totals) != len(self._statistics.expected):
            raise ValueError(f"window: expected {len(self._statistics.expected)} totals, got {len(window.totals)}")
        row = np.array([window.events, *window.totals], dtype=np.float64)
        push(self._buckets, row, np.add, itemgetter(0), LONGEST * least)
        self._windows += 1
        sums = np.array([row for _, row in self._buckets]).cumsum(axis=0)
        return self._statistics.scores(sums[:, 1:], sums[:, 0]), sums


def spacing_of(log_spacing: float) -> float:
    """Return a spacing in windows from its log."""
    return math.exp(min(log_spacing, 700.0))  # beyond, a float cannot hold it
