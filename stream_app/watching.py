"""The pipeline of the one worker that watches: signals in, alerts out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from contracts.alerts import Alert
from contracts.codec import encode
from contracts.detection import Signals
from contracts.topics import MODEL_ALERTS, SECURITY_ALERTS, SIGNALS
from stream_app.batch import Batch, Span
from stream_app.detectors.figures import Figures
from stream_app.detectors.known import History
from stream_app.detectors.snapshots import KEY, encode_state, last_state
from stream_app.detectors.watch import Watch, WatchState
from stream_app.pipeline import Result
from stream_app.stopwatch import Stopwatch

SIGNALS_REMEMBERED = 20_000
"""Records of detection-signals among which the last state is looked for first; without one they are what is known."""

_FURTHEST = 200_000
"""Records among which it is looked for then, and which are read again from its offset on at most: a watch that lags
behind writes its states at the end of the topic, far from what they hold."""

_STATE_MS = 60_000
_STATE_SIGNALS = 4_000

_MAX_AHEAD_MS = 3_600_000
"""So far ahead of our clock is no worker's: such a signal would put every window out of reach of those that follow."""


class SignalPipeline:
    """detection-signals: what workers saw, in their order, comes to alerts.

    What the watch knows follows from the signals before. It is written among them once in `_STATE_MS` of their time
    or `_STATE_SIGNALS`, in the transaction of the alerts that they came to. Whoever begins, or begins again after an
    abort, goes on from the last such state and the signals since, and tells nothing of what they came to then.
    """

    def __init__(self, make_watch: Callable[[], Watch], history: History, clock_s: Callable[[], float]) -> None:
        self._make_watch, self._history, self._clock_s = make_watch, history, clock_s
        self._watch: Watch | None = None
        self._since_state = _Stretch()

    def __call__(self, batch: Batch, now_ms: int) -> Result:
        timed = Stopwatch(self._clock_s)
        result = Result(seconds=timed.seconds)
        for span in batch.spans:
            watch = self._watch or self._begin(batch.topic, span, now_ms)
            rows = slice(span.first_row, span.first_row + len(span.offsets))
            for found in self._watched(watch, batch.keys[rows], batch.values[rows], now_ms):
                topic, key = (MODEL_ALERTS, "model") if "model" in found.labels else (SECURITY_ALERTS, "source")
                result.outputs.setdefault(topic.name, []).append((found.labels[key].encode(), encode(found)))
                if not found.is_end:
                    result.alerts[found.rule.id] = result.alerts.get(found.rule.id, 0) + 1
            if self._since_state.is_long:
                self._since_state = _Stretch()
                result.outputs[SIGNALS.name] = [(KEY, record) for record in encode_state(watch.state, span.end)]
        timed.lap("watch")
        return result

    def figures(self) -> Figures:
        """Return what is watched as figures; nothing where this worker does not watch. For any thread."""
        watch = self._watch
        return watch.figures() if watch else Figures()

    def committed(self) -> None:
        """See `Memory`: nothing to do, what was seen is known."""

    def aborted(self) -> None:
        self._watch = None

    def reassigned(self) -> None:
        self._watch = None

    def _begin(self, topic: str, span: Span, now_ms: int) -> Watch:
        watch, before = self._make_watch(), span.offsets[0]
        self._since_state = _Stretch()
        first = max(0, before - SIGNALS_REMEMBERED)
        written = self._last_state(topic, span.partition, before)
        if written and before - _FURTHEST <= written[0] <= before and watch.restore(written[1]):
            first = written[0]
        if first < before:
            for batch in self._history(topic, span.partition, before, before - first):
                self._watched(watch, batch.keys, batch.values, now_ms)
        self._watch = watch
        return watch

    def _last_state(self, topic: str, partition: int, before: int) -> tuple[int, WatchState] | None:
        for count in (SIGNALS_REMEMBERED, _FURTHEST):
            records = self._history(topic, partition, before, count)
            found = last_state(
                value for batch in records for key, value in zip(batch.keys, batch.values, strict=True) if key == KEY
            )
            if found or before <= count:
                return found
        return None

    def _watched(
        self, watch: Watch, keys: Sequence[bytes | None], values: Sequence[bytes | None], now_ms: int
    ) -> list[Alert]:
        """Return what the signals come to; a stranger's record is none."""
        found: list[Alert] = []
        for key, value in zip(keys, values, strict=True):
            if key == KEY:
                continue
            try:
                signals = msgspec.json.decode(value or b"", type=Signals)
            except (ValueError, RecursionError):
                continue
            if signals.at <= now_ms + _MAX_AHEAD_MS:
                found += watch.see(signals)
                self._since_state.add(signals.at)
        return found


@dataclass(slots=True)
class _Stretch:
    """The signals since the last state: how many, and over how long."""

    signals: int = 0
    first_ms: int = 0
    last_ms: int = 0

    def add(self, at_ms: int) -> None:
        self.first_ms = self.first_ms or at_ms
        self.last_ms = max(self.last_ms, at_ms)
        self.signals += 1

    @property
    def is_long(self) -> bool:
        return self.signals >= _STATE_SIGNALS or self.last_ms - self.first_ms >= _STATE_MS
