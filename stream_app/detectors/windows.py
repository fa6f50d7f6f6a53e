"""Sketches of all partitions fill windows, windows go to a detector, what it finds is told once in `QUIET_S`.

The user says a mean time between two false alarms; how many windows that is follows from how fast they fill. There is
no opinion before `_LEARN_S`.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from models.reference import ReferenceStatistics
from models.sketch import Sketch
from stream_app.detectors.change import DetectorState
from stream_app.model_slot import LoadedModel

F = TypeVar("F")
T = TypeVar("T")

DETECTORS = 3
"""Statistical detectors that share `false_alarm_days`: drift, quality, poisoned outcomes. Each has a third of the false
alarms, so its own are three times as far apart, and all together come as often as was set."""

_LEARN_S = 60
QUIET_S = 3600
_MEASURED_WINDOWS = 1000
_CLOSER = 1.25  # the detector is set anew when the time that a window takes has changed by this factor


class Detector(Protocol[F]):
    """What windows go to: `stream_app.detectors.change.ChangeDetector` with its findings."""

    @property
    def state(self) -> DetectorState: ...

    def update(self, window: Sketch) -> list[F]: ...


class Windows(Generic[F]):
    """The window under way, its detector, and what was told.

    `make` returns the detector for a number of windows between false alarms and the state that it goes on from;
    `spacing_ms` is the time between two of them.
    """

    def __init__(
        self,
        reference: ReferenceStatistics,
        spacing_ms: float,
        make: Callable[[float, DetectorState | None], Detector[F]],
    ) -> None:
        self._reference, self._spacing_ms, self._make = reference, spacing_ms, make
        self.window_ms = 0.0
        self.untold = 0
        self._window: Sketch | None = None
        self._detector: Detector[F] | None = None
        self._since_ms, self._windows = 0, 0
        self._told_ms: int | None = None

    def take(self, sketch: Sketch, at_ms: int) -> list[F]:
        """Take a part of the window; return what is to be told."""
        window = self._window + sketch if self._window else sketch
        if window.events < self._reference.window_events:
            self._window = window
            return []
        self._window = None
        self._measure(at_ms)
        findings = self._detector.update(window) if self._detector else []
        if findings and self._told_ms is not None and at_ms - self._told_ms < QUIET_S * 1000:
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
            spacing = max(self._spacing_ms / window_ms, self._reference.spacings[0])
            self._detector = self._make(spacing, self._detector.state if self._detector else None)


class OfChampion(Generic[T]):
    """What is known of the champion's stream; begun anew, by `make`, when another model is the champion."""

    def __init__(self, champion: Callable[[], LoadedModel | None], make: Callable[[ReferenceStatistics], T]) -> None:
        self._champion, self._make = champion, make
        self.digest = ""
        self.known: T | None = None

    def of(self, digest: str) -> T | None:
        """Return what is known of the model `digest`; None if it is not the champion here or has no reference."""
        if digest != self.digest:
            champion = self._champion()
            if champion is None or champion.bundle.digest != digest:
                return None  # a model that scored before, or that this worker has not loaded yet
            reference = champion.bundle.manifest.reference_statistics
            self.digest = digest
            self.known = self._make(reference) if reference else None
        return self.known
