"""Sketches of all partitions fill windows, windows go to a detector, what it finds is told once in `QUIET_S`.

The user says a mean time between two false alarms; how many windows that is follows from how fast they fill. There is
no opinion before `_LEARN_S`.
"""

from collections.abc import Callable, Sized
from typing import Annotated, Any, Generic, Protocol, TypeVar

import msgspec

from contracts.detection import Amount, Moment, Number
from contracts.reference import ReferenceStatistics
from models.recent import LONGEST
from models.sketch import Sketch
from stream_app.detectors.change import DetectorState
from stream_app.model_slot import LoadedModel

F = TypeVar("F")
S = TypeVar("S")

RECENT = 1000
"""Events (or outcomes) after which those before them begin to be forgotten: figures are of so many to twice as many."""

_LEARN_S = 60
QUIET_S = 3600
_MEASURED_WINDOWS = 1000
_CLOSER = 1.25  # the detector is set anew when the time that a window takes has changed by this factor


class WindowsState(msgspec.Struct, frozen=True):
    """The window under way, its detector and what was told.

    `window_ms` is how long a window took when the detector was set; since `since_ms` there were `windows` of them.
    `recent` are the last windows in two parts, the newer first.
    """

    window: Sketch | None
    detector: DetectorState | None
    window_ms: Amount
    since_ms: Moment
    windows: Number
    told_ms: Moment | None
    untold: Number
    recent: Annotated[tuple[Sketch, ...], msgspec.Meta(max_length=2)] = ()


class OfModel(msgspec.Struct, Generic[S], frozen=True):
    """What is to be remembered of the model of `digest`, by the reference that `baseline` names, as in a `Part`."""

    digest: str
    state: S
    baseline: Number = 0


class Detector(Protocol[F]):
    """What windows go to: `stream_app.detectors.change.ChangeDetector` with its findings."""

    @property
    def state(self) -> DetectorState: ...

    def update(self, window: Sketch) -> list[F]: ...

    def changes(self, window: Sketch) -> Sized: ...

    def distances(self, sketch: Sketch) -> dict[str, float]: ...


class Windows(Generic[F]):
    """The window under way, its detector, and what was told.

    `make` returns the detector for a number of windows between false alarms and the state that it goes on from;
    `spacing_ms` is the time between two of them. A sketch has so many `totals`.
    """

    def __init__(
        self,
        reference: ReferenceStatistics,
        totals: int,
        spacing_ms: float,
        make: Callable[[float, DetectorState | None], Detector[F]],
    ) -> None:
        self.reference, self._spacing_ms, self._make = reference, spacing_ms, make
        self.totals = totals
        self.window_ms = 0.0
        self.untold = 0
        self._window: Sketch | None = None
        self._detector: Detector[F] | None = None
        self._since_ms, self._windows = 0, 0
        self._told_ms: int | None = None
        self._recent: tuple[Sketch, ...] = ()  # replaced whole: another thread may read it

    @property
    def state(self) -> WindowsState:
        return WindowsState(
            self._window,
            self._detector.state if self._detector else None,
            self.window_ms,
            self._since_ms,
            self._windows,
            self._told_ms,
            self.untold,
            self._recent,
        )

    def restore(self, state: WindowsState) -> None:
        """Go on from the state of another of the same model, unless it is of no such model's form."""
        buckets = state.detector.buckets if state.detector else ()
        sketches = [*(each for _, each in buckets), *([state.window] if state.window else []), *state.recent]
        good = all(each.events > 0 and len(each.totals) == self.totals for each in sketches)
        if not good or len(buckets) > LONGEST or bool(state.detector) != bool(state.window_ms):
            return
        self._window, self.window_ms, self.untold = state.window, state.window_ms, state.untold
        self._since_ms, self._windows, self._told_ms = state.since_ms, state.windows, state.told_ms
        self._recent = state.recent
        if state.detector:
            self._detector = self._set(state.detector)

    def take(self, sketch: Sketch, at_ms: int) -> list[F]:
        """Take a part of the window; return what is to be told."""
        window = self._window + sketch if self._window else sketch
        if window.events < self.reference.window_events:
            self._window = window
            return []
        self._window = None
        self._recent = _followed(self._recent, window)
        self._measure(at_ms)
        if self._detector is None:
            return []
        if self._told_ms is not None and at_ms - self._told_ms < QUIET_S * 1000:
            self.untold += bool(self._detector.changes(window))  # what it is in detail nobody is told
            return []
        findings = self._detector.update(window)
        self._told_ms = at_ms if findings else self._told_ms
        return findings

    def recent(self) -> tuple[Sketch, dict[str, float]] | None:
        """Return the last events and how far each statistic of them is from the reference; None before a window is.

        There are no distances before the detector is set. For any thread.
        """
        recent, detector = self._recent, self._detector
        if not recent:
            return None
        events = recent[0] + recent[1] if len(recent) > 1 else recent[0]
        return events, detector.distances(events) if detector else {}

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

    def _set(self, state: DetectorState | None) -> Detector[F]:
        """Return a detector that goes on from `state`, set by the time that a window takes."""
        return self._make(max(self._spacing_ms / self.window_ms, self.reference.spacings[0]), state)


def _followed(recent: tuple[Sketch, ...], window: Sketch) -> tuple[Sketch, ...]:
    if not recent or recent[0].events >= RECENT:
        return (window, *recent[:1])
    return (recent[0] + window, *recent[1:])


class Remembering(Protocol[S]):
    """What has a state that another of the same model can go on from."""

    @property
    def state(self) -> S: ...

    def restore(self, state: S) -> None: ...


K = TypeVar("K", bound=Remembering[Any])


def own_reference(model: LoadedModel) -> tuple[int, ReferenceStatistics | None]:
    """Return the reference in a model's bundle, which is baseline 0."""
    return 0, model.bundle.manifest.reference_statistics


class OfChampion(Generic[K, S]):
    """What is known of the champion's stream; begun anew, by `make`, when another model is the champion.

    `reference` says what the stream is compared with, and which baseline that is.
    """

    def __init__(
        self,
        champion: Callable[[], LoadedModel | None],
        make: Callable[[ReferenceStatistics], K],
        reference: Callable[[LoadedModel], tuple[int, ReferenceStatistics | None]] = own_reference,
    ) -> None:
        self._champion, self._make, self._reference = champion, make, reference
        self.digest, self.baseline = "", 0
        self.known: K | None = None
        self._restored: OfModel[S] | None = None

    @property
    def state(self) -> OfModel[S] | None:
        return OfModel(self.digest, self.known.state, self.baseline) if self.known else self._restored

    def restore(self, state: OfModel[S] | None) -> None:
        """Go on from the state of another, once the champion that it is of scores."""
        self._restored = state

    def of(self, digest: str, baseline: int = 0) -> K | None:
        """Return what is known of the model `digest`; None if it is not the champion here or has no such reference."""
        if (digest, baseline) != (self.digest, self.baseline):
            champion = self._champion()
            version, reference = self._reference(champion) if champion else (0, None)
            if champion is None or (champion.bundle.digest, version) != (digest, baseline):
                return None  # a model or baseline that was before, or that this worker has not loaded yet
            self.digest, self.baseline = digest, baseline
            self.known = self._make(reference) if reference else None
            restored = self._restored
            if self.known and restored and (restored.digest, restored.baseline) == (digest, baseline):
                self.known.restore(restored.state)
            self._restored = None
        return self.known
