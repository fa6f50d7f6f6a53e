"""Drift in the stream: parts of all partitions fill windows, windows go to the detector, findings become alerts.

The user says the mean time between two false alarms; how many windows that is follows from how fast they fill. There is
no opinion before `_LEARN_S`. What goes on is told once in `_QUIET_S`.
"""

import hashlib
from collections.abc import Callable
from typing import Annotated

import msgspec

from contracts.alerts import Alert, alert
from contracts.detection import Moment, Signals
from contracts.releases import DAY_MS
from models.recent import LONGEST
from models.reference import ReferenceStatistics
from models.sketch import Sketch
from stream_app.detectors.drift import DriftDetector, DriftState, Finding
from stream_app.detectors.rules import DetectionRule
from stream_app.model_slot import LoadedModel

_LEARN_S = 60
_QUIET_S = 3600
_MEASURED_WINDOWS = 1000
_CLOSER = 1.25  # the detector is set anew when the time that a window takes has changed by this factor


class ModelDriftState(msgspec.Struct, frozen=True):
    """What is to be remembered of the model of `digest`: the window under way, its detector and what was told.

    `window_ms` is how long a window took when the detector was set; since `since_ms` there were `windows` of them.
    """

    digest: str
    window: Sketch | None
    detector: DriftState | None
    window_ms: Annotated[float, msgspec.Meta(ge=0)]
    since_ms: Moment
    windows: Annotated[int, msgspec.Meta(ge=0)]
    told_ms: Moment | None
    untold: int


class DriftWatch:
    """Watches the champion's inputs and scores; `days` is the mean time between two false alarms."""

    def __init__(self, rule: DetectionRule, champion: Callable[[], LoadedModel | None], days: float) -> None:
        self._rule, self._champion, self._days = rule, champion, days
        self._digest = ""
        self._model: _ModelDrift | None = None
        self._restored: ModelDriftState | None = None

    @property
    def state(self) -> ModelDriftState | None:
        return self._model.state(self._digest) if self._model else self._restored

    def restore(self, state: ModelDriftState | None) -> None:
        """Go on from the state of another, once the champion that it is of scores."""
        self._restored = state

    def see(self, signals: Signals) -> list[Alert]:
        """Take the signals of a batch; return the alerts that they come to."""
        part = signals.part
        if part is None:
            return []
        if part.digest != self._digest:
            champion = self._champion()
            if champion is None or champion.bundle.digest != part.digest:
                return []  # of a model that scored before, or that this worker has not loaded yet
            reference = champion.bundle.manifest.reference_statistics
            self._digest = part.digest
            self._model = _ModelDrift(reference, self._days * DAY_MS) if reference else None
            if self._model and self._restored and self._restored.digest == part.digest:
                self._model.restore(self._restored)
            self._restored = None
        if self._model is None or len(part.totals) != self._model.totals:
            return []
        findings = self._model.take(Sketch(part.events, tuple(part.totals)), signals.at)
        return [self._alert(findings, self._model, signals.at)] if findings else []

    def _alert(self, findings: list[Finding], model: "_ModelDrift", at_ms: int) -> Alert:
        found = findings[0]
        labels = {
            "model": self._digest,
            "statistic": found.statistic,
            "columns": " ".join(found.columns),
            "events": str(found.events),
            "windows_by_chance": f"{found.windows_by_chance:.3g}",
            "windows_wanted": f"{found.threshold:.3g}",
            "others": " ".join(other.statistic for other in findings[1:]),
            "alarms_since_last_alert": str(model.untold or ""),
            **{f"expected_{column}": _shares(bins) for column, bins in found.expected.items()},
            **{f"seen_{column}": _shares(bins) for column, bins in found.seen.items()},
        }
        model.untold = 0
        return alert(
            self._rule.rule,
            f"{self._rule.name}: {found.statistic} ({', '.join(found.columns)}) over {found.events} events",
            at_ms=at_ms,
            dataset="model",
            severity=self._rule.severity,
            technique=self._rule.technique,
            labels={name: value for name, value in labels.items() if value},
            first_ms=round(at_ms - found.windows * model.window_ms),
            id=hashlib.sha256(f"{self._rule.id} {self._digest} {at_ms}".encode()).hexdigest()[:32],
        )


class _ModelDrift:
    """One model's window under way, its detector, and what was told of it."""

    def __init__(self, reference: ReferenceStatistics, spacing_ms: float) -> None:
        self._reference, self._spacing_ms = reference, spacing_ms
        self.totals = len(reference.products) + sum(len(column.shares) for column in reference.columns)
        self.window_ms = 0.0
        self.untold = 0
        self._window: Sketch | None = None
        self._detector: DriftDetector | None = None
        self._since_ms, self._windows = 0, 0
        self._told_ms: int | None = None

    def state(self, digest: str) -> ModelDriftState:
        detector = self._detector.state if self._detector else None
        return ModelDriftState(
            digest,
            self._window,
            detector,
            self.window_ms,
            self._since_ms,
            self._windows,
            self._told_ms,
            self.untold,
        )

    def restore(self, state: ModelDriftState) -> None:
        """Go on from the state of another of the same model, unless it is of no such model's form."""
        buckets = state.detector.buckets if state.detector else ()
        sketches = [each for _, each in buckets] + ([state.window] if state.window else [])
        good = all(each.events > 0 and len(each.totals) == self.totals for each in sketches)
        if not good or len(buckets) > LONGEST or bool(state.detector) != bool(state.window_ms):
            return
        self._window, self.window_ms, self.untold = state.window, state.window_ms, state.untold
        self._since_ms, self._windows, self._told_ms = state.since_ms, state.windows, state.told_ms
        if state.detector:
            self._detector = self._set(state.detector)

    def take(self, sketch: Sketch, at_ms: int) -> list[Finding]:
        """Take a part of the window; return what is to be told."""
        window = self._window + sketch if self._window else sketch
        if window.events < self._reference.window_events:
            self._window = window
            return []
        self._window = None
        self._measure(at_ms)
        findings = self._detector.update(window) if self._detector else []
        if findings and self._told_ms is not None and at_ms - self._told_ms < _QUIET_S * 1000:
            self.untold += 1
            return []
        self._told_ms = at_ms if findings else self._told_ms
        return findings

    def _measure(self, at_ms: int) -> None:
        """Learn how long a window takes, and set the detector by it."""
        if self._windows == 0:
            self._since_ms = at_ms
        self._windows += 1
        if at_ms - self._since_ms < _LEARN_S * 1000:
            return
        window_ms = (at_ms - self._since_ms) / (self._windows - 1)
        if self._windows > _MEASURED_WINDOWS:
            self._windows = 0
        if self._detector is None or not 1 / _CLOSER < window_ms / self.window_ms < _CLOSER:
            self.window_ms = window_ms
            self._detector = self._set(self._detector.state if self._detector else None)

    def _set(self, state: DriftState | None) -> DriftDetector:
        """Return a detector that goes on from `state`, set by the time that a window takes."""
        spacing = max(self._spacing_ms / self.window_ms, self._reference.spacings[0])
        return DriftDetector(self._reference, spacing, state=state)


def _shares(bins: dict[str, float]) -> str:
    return " ".join(f"{name}:{share:.3f}" for name, share in bins.items())
