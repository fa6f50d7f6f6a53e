"""Quality: whether outcomes are still what the scores let expect, by the reference in the signed bundle."""

from contracts.reference import ALL, ReferenceStatistics
from models.outcomes import OutcomeStatistics, Performance, estimated, performance
from models.sketch import Sketch
from stream_app.detectors.change import Change, ChangeDetector, ChangeFinding, DetectorState, spacing_of


class QualityFinding(ChangeFinding, frozen=True, kw_only=True):
    """One statistic of outcomes that is too far from the reference; an event is an outcome here.

    `positives` of them were 1, and `expected_positives` were to be by their scores. `seen_performance` is the model's
    by these outcomes.
    """

    positives: int
    expected_positives: float
    seen_performance: Performance


class QualityDetector(ChangeDetector):
    """Compares a stream of outcomes, window by window, with a reference. See `ChangeDetector`.

    A window is a sketch whose totals are outcomes by bin of the score, then those that are 1 by bin.
    """

    def __init__(
        self,
        reference: ReferenceStatistics,
        mean_windows_between_false_alarms: float,
        *,
        statistic: str = ALL,
        state: DetectorState | None = None,
    ) -> None:
        self._reference = reference
        super().__init__(
            OutcomeStatistics(reference), mean_windows_between_false_alarms, statistic=statistic, state=state
        )

    def update(self, window: Sketch) -> list[QualityFinding]:
        """Take a window in; return what is too far from the reference, the rarest first: mostly nothing.

        Raises `ValueError` for a window of too few outcomes or of other bins, and then has not taken it in.
        """
        return [self._finding(change) for change in self.changes(window)]

    def _finding(self, change: Change) -> QualityFinding:
        outcomes = self._reference.outcomes
        events, positives = change.totals.reshape(2, -1)
        return QualityFinding(
            statistic=self.names[change.statistic],
            windows_by_chance=spacing_of(change.rarity),
            threshold=spacing_of(self.threshold),
            since_window=self._windows - change.windows,
            windows=change.windows,
            events=change.events,
            positives=int(positives.sum()),
            expected_positives=float(events @ outcomes.positive),
            expected_performance=estimated(self._reference.score.shares[:-1], outcomes),
            estimated_performance=estimated(events.tolist(), outcomes),
            seen_performance=performance(events, positives, outcomes),
        )
