"""Drift: whether the last windows of scored events still look like the reference in the signed bundle."""

import numpy as np

from contracts.reference import ALL, FEATURES, JOINT, PERFORMANCE, SCORE, ReferenceStatistics
from models.outcomes import estimated
from models.shift import ShiftStatistics
from models.sketch import Sketch
from stream_app.detectors.change import Change, ChangeDetector, ChangeFinding, DetectorState, spacing_of


class Finding(ChangeFinding, frozen=True, kw_only=True):
    """One statistic of scored events that is too far from the reference.

    `columns` are the variables that show it most: two for `JOINT`. `expected` and `seen` are the shares of their bins,
    {column: {bin: share}}.
    """

    columns: tuple[str, ...]
    expected: dict[str, dict[str, float]]
    seen: dict[str, dict[str, float]]


class DriftDetector(ChangeDetector):
    """Compares a stream of scored events, window by window, with a reference. See `ChangeDetector`."""

    def __init__(
        self,
        reference: ReferenceStatistics,
        mean_windows_between_false_alarms: float,
        *,
        statistic: str = ALL,
        state: DetectorState | None = None,
    ) -> None:
        self._reference = reference
        self._shift = ShiftStatistics(reference)
        super().__init__(self._shift, mean_windows_between_false_alarms, statistic=statistic, state=state)

    def update(self, window: Sketch) -> list[Finding]:
        """Take a window in; return what is too far from the reference, the rarest first: mostly nothing.

        Raises `ValueError` for a window of too few events or of other columns, and then has not taken it in.
        """
        return [self._finding(change) for change in self.changes(window)]

    def _finding(self, change: Change) -> Finding:
        columns = self._reference.columns
        name = self.names[change.statistic]
        places: tuple[int, ...]
        if name == JOINT:
            places = self._shift.strongest_pair(change.totals, change.events)
        elif name == FEATURES:
            places = (int(self._shift.rarity(change.scores)[: len(columns) - 2].argmax()),)
        else:
            places = (self.names.index(SCORE if name == PERFORMANCE else name),)
        first = np.cumsum([0, *(len(column.shares) for column in columns)])
        bins = [change.totals[first[place] : first[place + 1]] for place in range(len(columns))]
        shown = {columns[place]: (bins[place] / change.events).tolist() for place in places}
        outcomes, score = self._reference.outcomes, self.names.index(SCORE)
        return Finding(
            statistic=name,
            windows_by_chance=spacing_of(change.rarity),
            threshold=spacing_of(self.threshold),
            since_window=self._windows - change.windows,
            windows=change.windows,
            events=change.events,
            columns=tuple(column.name for column in shown),
            expected={column.name: dict(zip(column.labels, column.shares, strict=True)) for column in shown},
            seen={column.name: dict(zip(column.labels, shares, strict=True)) for column, shares in shown.items()},
            expected_performance=estimated(columns[score].shares[:-1], outcomes),
            estimated_performance=estimated(bins[score][:-1].tolist(), outcomes),
        )
