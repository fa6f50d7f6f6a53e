"""Quality in the stream: the champion's outcomes of all sources against its reference."""

from collections.abc import Callable

import numpy as np

from contracts.alerts import Alert
from contracts.detection import Signals
from contracts.reference import ReferenceStatistics
from contracts.releases import DAY_MS
from models.outcomes import performance
from models.sketch import Sketch
from stream_app.detectors.change import DetectorState
from stream_app.detectors.change_alert import change_alert
from stream_app.detectors.figures import Compared
from stream_app.detectors.quality import QualityDetector, QualityFinding
from stream_app.detectors.rules import DETECTORS, DetectionRule
from stream_app.detectors.windows import OfChampion, OfModel, Windows, WindowsState
from stream_app.model_slot import LoadedModel


class QualityWatch:
    """Watches the champion's outcomes; `days` is the mean time between two false alarms of all detectors."""

    def __init__(self, rule: DetectionRule, champion: Callable[[], LoadedModel | None], days: float) -> None:
        self._rule, self._spacing_ms = rule, DETECTORS * days * DAY_MS
        self._champions: OfChampion[Windows[QualityFinding], WindowsState] = OfChampion(champion, self._windows)

    @property
    def state(self) -> OfModel[WindowsState] | None:
        return self._champions.state

    def restore(self, state: OfModel[WindowsState] | None) -> None:
        """Go on from the state of another, once the champion that it is of scores."""
        self._champions.restore(state)

    def figures(self) -> Compared | None:
        """Return what the last outcomes come to. For any thread."""
        windows = self._champions.known
        recent = windows.recent() if windows else None
        if windows is None or recent is None:
            return None
        outcomes, distances = recent
        seen, positives = np.array(outcomes.totals, np.float64).reshape(2, -1)
        return Compared(outcomes.events, distances, performance(seen, positives, windows.reference.outcomes))

    def see(self, signals: Signals) -> list[Alert]:
        """Take the signals of a batch; return the alerts that they come to."""
        alerts: list[Alert] = []
        for told in signals.outcomes:
            windows = self._champions.of(told.digest)
            if windows is None:
                continue
            bins = windows.totals // 2
            sums = tuple(map(sum, zip(*told.of_bins(bins).values(), strict=True)))
            findings = windows.take(Sketch(sum(sums[:bins]), sums), signals.at) if any(sums) else []
            if findings:
                alerts.append(self._alert(findings, windows, told.digest, signals.at))
        return alerts

    def _windows(self, reference: ReferenceStatistics) -> Windows[QualityFinding]:

        def make(spacing: float, state: DetectorState | None) -> QualityDetector:
            return QualityDetector(reference, spacing, state=state)

        return Windows(reference, 2 * len(reference.outcomes.positive), self._spacing_ms, make)

    def _alert(
        self, findings: list[QualityFinding], windows: Windows[QualityFinding], digest: str, at_ms: int
    ) -> Alert:
        found = findings[0]
        labels = {
            "outcomes": str(found.events),
            "positives": str(found.positives),
            "expected_positives": f"{found.expected_positives:.1f}",
            **found.seen_performance.labels("seen"),
        }
        return change_alert(
            self._rule,
            digest,
            findings,
            windows,
            f"{found.statistic}, {found.positives} of {found.events} outcomes positive, "
            f"{found.expected_positives:.0f} expected",
            labels,
            at_ms,
        )
