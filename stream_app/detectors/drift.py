"""Drift: whether the last windows of scored events still look like the reference in the signed bundle.

The user says one thing: how many windows may lie between two false alarms on average. From it follows how rare a value
must be, given how many statistics look at the same stream (models/shift.py has them, models/calibrate.py what chance
does to them). Windows have at least `reference.window_events` events; the statistics hold for any number from there on.
"""

import math
from operator import itemgetter

import msgspec
import numpy as np

from models.recent import LONGEST, push
from models.reference import ALL, FEATURES, JOINT, ReferenceStatistics
from models.shift import Floats, Rarity, ShiftStatistics
from models.sketch import Sketch


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One statistic that is too far from the reference.

    `windows_by_chance` is how many windows lie between two values as high on a clean stream, `threshold` how many that
    must be for an alarm. The change has been rising over `windows`, of `events` events in all, the first of them number
    `since_window`. `columns` are the variables that show it most: two for `JOINT`. `expected` and `seen` are the shares
    of their bins, {column: {bin: share}}.
    """

    statistic: str
    windows_by_chance: float
    threshold: float
    since_window: int
    windows: int
    events: int
    columns: tuple[str, ...]
    expected: dict[str, dict[str, float]]
    seen: dict[str, dict[str, float]]


class DriftState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a detector remembers: `windows` so far and buckets [(windows, sketch)], newest first. A few KB of JSON."""

    windows: int = 0
    buckets: tuple[tuple[int, Sketch], ...] = ()


class DriftDetector:
    """Compares a stream, window by window, with a reference.

    `mean_windows_between_false_alarms` is at least the least spacing of the reference (20). `statistic` looks at one
    alone; without it all of them are watched, and the spacing is that of all together. After an alarm it starts anew.
    """

    def __init__(
        self,
        reference: ReferenceStatistics,
        mean_windows_between_false_alarms: float,
        *,
        statistic: str = ALL,
        state: DriftState | None = None,
    ) -> None:
        least = reference.spacings[0]
        if not mean_windows_between_false_alarms >= least:
            raise ValueError(
                f"mean windows between false alarms: expected at least {least:g}, "
                f"got {mean_windows_between_false_alarms:g}"
            )
        self._reference = reference
        self._statistics = ShiftStatistics(reference)
        self.names = self._statistics.names
        if statistic not in {ALL, *self.names}:
            raise ValueError(f"statistic: expected one of {', '.join(self.names)}, got {statistic!r}")
        self._alone = None if statistic == ALL else self.names.index(statistic)
        self._threshold = math.log(mean_windows_between_false_alarms)
        if self._alone is None:
            self._threshold = _needed_rarity(reference, self._threshold)
        self._windows = 0
        self._buckets: list[tuple[int, Floats]] = []  # events first, then the totals
        if state:
            self._windows = state.windows
            self._buckets = [(size, np.array([each.events, *each.totals], np.float64)) for size, each in state.buckets]

    @property
    def state(self) -> DriftState:
        """What to hand to the next detector of the same reference, so that it goes on where this one is."""
        buckets = ((size, row.astype(np.int64).tolist()) for size, row in self._buckets)
        return DriftState(self._windows, tuple((size, Sketch(row[0], tuple(row[1:]))) for size, row in buckets))

    def rarities(self, window: Sketch) -> dict[str, float]:
        """Take a window in and return for each statistic the log of how many windows lie between two values as high."""
        scores, _ = self._scores(window)
        return dict(zip(self.names, self._statistics.rarity(scores.max(axis=0)).tolist(), strict=True))

    def update(self, window: Sketch) -> list[Finding]:
        """Take a window in; return what is too far from the reference, the rarest first: mostly nothing.

        Raises `ValueError` for a window of too few events or of other columns, and then has not taken it in.
        """
        scores, sums = self._scores(window)
        rarities = self._statistics.rarity(scores.max(axis=0))
        alarms = np.flatnonzero(rarities >= self._threshold).tolist()
        if self._alone is not None:
            alarms = [each for each in alarms if each == self._alone]
        if not alarms:
            return []
        found = []
        for at in sorted(alarms, key=lambda each: -float(rarities[each])):
            since = int(scores[:, at].argmax())
            found.append(self._finding(at, float(rarities[at]), since, sums[since], scores[since]))
        self._buckets.clear()
        return found

    def _scores(self, window: Sketch) -> tuple[Floats, Floats]:
        """Take a window in; return scores (beginnings, statistics) and sums since each beginning."""
        if window.events < self._reference.window_events:
            raise ValueError(f"window: expected at least {self._reference.window_events} events, got {window.events}")
        if len(window.totals) != len(self._statistics.expected):
            raise ValueError(f"window: expected {len(self._statistics.expected)} totals, got {len(window.totals)}")
        row = np.array([window.events, *window.totals], dtype=np.float64)
        push(self._buckets, row, np.add, itemgetter(0), LONGEST * self._reference.window_events)
        self._windows += 1
        sums = np.array([row for _, row in self._buckets]).cumsum(axis=0)
        return self._statistics.scores(sums[:, 1:], sums[:, 0]), sums

    def _finding(self, at: int, rarity: float, since: int, sums: Floats, scores: Floats) -> Finding:
        columns = self._reference.columns
        features = len(columns) - 2
        events, totals = int(sums[0]), sums[1:]
        name = self.names[at]
        places: tuple[int, ...] = (at,)
        if name == JOINT:
            places = self._statistics.strongest_pair(totals, events)
        elif name == FEATURES:
            places = (int(self._statistics.rarity(scores)[:features].argmax()),)
        first = np.cumsum([0, *(len(column.shares) for column in columns)])
        windows = sum(size for size, _ in self._buckets[: since + 1])
        return Finding(
            statistic=name,
            windows_by_chance=_exp(rarity),
            threshold=_exp(self._threshold),
            since_window=self._windows - windows,
            windows=windows,
            events=events,
            columns=tuple(columns[place].name for place in places),
            expected={
                columns[place].name: dict(zip(columns[place].labels, columns[place].shares, strict=True))
                for place in places
            },
            seen={
                columns[place].name: dict(
                    zip(columns[place].labels, (totals[first[place] : first[place + 1]] / events).tolist(), strict=True)
                )
                for place in places
            },
        )


def _needed_rarity(reference: ReferenceStatistics, log_spacing: float) -> float:
    """Return how rare one of the statistics must be for all together to keep the spacing."""
    thresholds = np.array(reference.nulls[ALL].thresholds)
    back = Rarity(np.log([reference.spacings]), np.exp(thresholds).tolist())
    return float(back(np.array([log_spacing]))[0])


def _exp(log: float) -> float:
    return math.exp(min(log, 700.0))  # beyond, a float cannot hold it
