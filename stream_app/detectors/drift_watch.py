"""Drift in the stream: the sketches of the champion's scored events against its reference."""

from collections.abc import Callable

from contracts.alerts import Alert
from contracts.detection import Part, Signals
from contracts.reference import ReferenceStatistics
from contracts.releases import DAY_MS
from models.outcomes import Performance, estimated
from models.sketch import Sketch
from stream_app.detectors.change import DetectorState
from stream_app.detectors.change_alert import change_alert
from stream_app.detectors.drift import DriftDetector, Finding
from stream_app.detectors.figures import Compared
from stream_app.detectors.rules import DETECTORS, DetectionRule
from stream_app.detectors.windows import OfChampion, OfModel, Windows, WindowsState
from stream_app.model_slot import LoadedModel


class DriftWatch:
    """Watches the champion's inputs and scores; `days` is the mean time between two false alarms of all detectors."""

    def __init__(self, rule: DetectionRule, champion: Callable[[], LoadedModel | None], days: float) -> None:
        self._rule, self._spacing_ms = rule, DETECTORS * days * DAY_MS
        self._champions: OfChampion[Windows[Finding], WindowsState] = OfChampion(champion, self._windows, _live)

    @property
    def state(self) -> OfModel[WindowsState] | None:
        return self._champions.state

    def restore(self, state: OfModel[WindowsState] | None) -> None:
        """Go on from the state of another, once the champion that it is of scores."""
        self._champions.restore(state)

    def figures(self) -> tuple[Compared, Performance] | None:
        """Return what the last events come to and how good the model is on the reference. For any thread."""
        windows = self._champions.known
        recent = windows.recent() if windows else None
        if windows is None or recent is None:
            return None
        (events, distances), reference = recent, windows.reference
        first = sum(len(column.shares) for column in reference.columns[:-2])
        scores = events.totals[first : first + len(reference.score.shares) - 1]
        compared = Compared(events.events, distances, estimated(scores, reference.outcomes))
        return compared, estimated(reference.score.shares[:-1], reference.outcomes)

    def see(self, signals: Signals) -> list[Alert]:
        """Take the signals of a batch; return the alerts that they come to."""
        part = signals.part
        windows = self._champions.of(part.digest, part.baseline) if part else None
        if part is None or windows is None or len(part.totals) != windows.totals:
            return []
        findings = windows.take(Sketch(part.events, tuple(part.totals)), signals.at)
        return [self._alert(findings, windows, part, signals.at)] if findings else []

    def _windows(self, reference: ReferenceStatistics) -> Windows[Finding]:

        def make(spacing: float, state: DetectorState | None) -> DriftDetector:
            return DriftDetector(reference, spacing, state=state)

        return Windows(reference, reference.totals, self._spacing_ms, make)

    def _alert(self, findings: list[Finding], windows: Windows[Finding], part: Part, at_ms: int) -> Alert:
        found = findings[0]
        labels = {
            "baseline": str(part.baseline or ""),
            "columns": " ".join(found.columns),
            "events": str(found.events),
            **{f"expected_{column}": _shares(bins) for column, bins in found.expected.items()},
            **{f"seen_{column}": _shares(bins) for column, bins in found.seen.items()},
        }
        return change_alert(
            self._rule,
            part.digest,
            findings,
            windows,
            f"{found.statistic} ({', '.join(found.columns)}) over {found.events} events",
            labels,
            at_ms,
        )


def _live(model: LoadedModel) -> tuple[int, ReferenceStatistics | None]:
    """Return the reference that workers sketch by, and which baseline it is."""
    return model.baseline_version, model.reference


def _shares(bins: dict[str, float]) -> str:
    return " ".join(f"{name}:{share:.3f}" for name, share in bins.items())
