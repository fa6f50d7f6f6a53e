"""The pipeline of the one worker that watches: signals in, alerts out."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from contracts.alerts import Alert
from contracts.codec import encode
from contracts.detection import Signals
from contracts.topics import MODEL_ALERTS, SECURITY_ALERTS
from stream_app.batch import Batch, Span
from stream_app.detectors.known import History
from stream_app.detectors.watch import Watch
from stream_app.pipeline import Result

SIGNALS_REMEMBERED = 20_000
"""Records of detection-signals that are read again: ten minutes at 33 batches a second, all that a rule looks at."""


class SignalPipeline:
    """detection-signals: what workers saw, in their order, comes to alerts.

    What the watch knows follows from the signals of the last while: whoever begins, or begins again after an abort,
    reads them again, and what they came to then is not told twice.
    """

    def __init__(self, make_watch: Callable[[], Watch], history: History) -> None:
        self._make_watch, self._history = make_watch, history
        self._watch: Watch | None = None

    def __call__(self, batch: Batch, now_ms: int) -> Result:  # noqa: ARG002 - signals bring their own time
        result = Result()
        for span in batch.spans:
            watch = self._watch or self._begin(batch.topic, span)
            alerts = _watched(watch, batch.values[span.first_row : span.first_row + len(span.offsets)])
            for found in alerts:
                topic, key = (MODEL_ALERTS, "model") if "model" in found.labels else (SECURITY_ALERTS, "source")
                result.outputs.setdefault(topic.name, []).append((found.labels[key].encode(), encode(found)))
                result.alerts[found.rule.id] = result.alerts.get(found.rule.id, 0) + 1
        return result

    def committed(self) -> None:
        """See `Memory`: nothing to do, what was seen is known."""

    def aborted(self) -> None:
        self._watch = None

    def reassigned(self) -> None:
        self._watch = None

    def _begin(self, topic: str, span: Span) -> Watch:
        watch = self._make_watch()
        for batch in self._history(topic, span.partition, span.offsets[0], SIGNALS_REMEMBERED):
            _watched(watch, batch.values)
        self._watch = watch
        return watch


def _watched(watch: Watch, values: Sequence[bytes | None]) -> list[Alert]:
    """Return what the signals come to; a stranger's record is none."""
    found: list[Alert] = []
    for value in values:
        with suppress(msgspec.DecodeError):
            found += watch.see(msgspec.json.decode(value or b"", type=Signals))
    return found
