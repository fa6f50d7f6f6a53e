"""The pipeline: a batch in, the records to write out. No Kafka or disk in here; batch and one-by-one agree."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol

from contracts.codec import encode
from contracts.detection import Part, Signal, Signals
from contracts.errors import RetryableError
from contracts.events import Decision, Event, Outcome
from contracts.metrics import Step
from contracts.topics import PREDICTIONS, SHADOW_PREDICTIONS, SIGNALS
from stream_app.batch import Batch
from stream_app.decode import Decoded, Decoder
from stream_app.detectors.known import Known
from stream_app.detectors.outcomes import Outcomes
from stream_app.detectors.signals import of_events, of_outcomes
from stream_app.detectors.singles import near_of_new
from stream_app.model_slot import LoadedModel, ModelSlot
from stream_app.quarantine import Quarantined, Sealer, frame
from stream_app.score import Scored
from stream_app.shadows import Shadows
from stream_app.stopwatch import Stopwatch

_OBSERVED_AT = attrgetter("observed_at")

_SKETCHED = 500
"""Of a large batch about so many events go into its sketch, evenly taken: drift looks at windows of twenty."""


@dataclass(slots=True)
class Result:
    """What a batch came to.

    `outputs` maps a topic (without prefix) to its records in order, each a key and a value. `decisions`, `reasons` and
    `shadows` are counts for metrics, `shadow_skipped` those of events that models on trial left out, `repeats` those of
    events that came before and were dropped, `outcomes` those of good outcomes ("matched", "repeated", "unmatched"),
    `alerts` those of alerts by rule. `newest_ms` is the latest observation time, None if nothing was accepted.
    `seconds` says how long each step took.
    """

    outputs: dict[str, list[tuple[bytes | None, bytes]]] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    decisions: dict[Decision, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    shadows: Mapping[str, int] = field(default_factory=dict)
    shadow_skipped: int = 0
    repeats: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    newest_ms: int | None = None
    seconds: dict[Step, float] = field(default_factory=dict, compare=False)

    def tell(self, signals: Signals) -> None:
        """Have the one that watches told, if there is anything to tell."""
        if signals.sources or signals.outcomes or signals.unmatched:
            self.outputs[SIGNALS.name] = [(b"signals", encode(signals))]


class Pipeline(Protocol):
    """Processes the batches of one topic.

    Must not block, keep the batch, or raise for what a record holds (that is quarantine's). `RetryableError` has the
    batch fetched and tried again; whatever else it raises is a defect and ends the worker, which loses nothing.
    """

    def __call__(self, batch: Batch, now_ms: int) -> Result: ...


class Memory(Protocol):
    """What pipelines keep from batch to batch: it must come to what the committed records come to, and no more."""

    def committed(self) -> None:
        """What was processed is committed: it will not come again."""

    def aborted(self) -> None:
        """What was processed since the last commit will come again, here or elsewhere."""

    def reassigned(self) -> None:
        """The partitions may have been elsewhere meanwhile."""


class EventPipeline:
    """patient-events: decode, authenticate, drop what came before, score; then the models on trial."""

    def __init__(
        self,
        slot: ModelSlot,
        shadows: Shadows,
        sealer: Sealer,
        known: Known,
        clock_s: Callable[[], float],
    ) -> None:
        self._slot, self._shadows, self._sealer, self._clock_s = slot, shadows, sealer, clock_s
        self.known = known

    def __call__(self, batch: Batch, now_ms: int) -> Result:
        models = self._slot.models
        if models.champion is None:
            raise RetryableError("expected a champion to score with, none is live")
        watch = Stopwatch(self._clock_s)
        decoded = models.champion.decoder(batch, now_ms)
        watch.lap("decode")
        result = Result(seconds=watch.seconds)
        columns = models.champion.columns
        repeated = self.known.drop_repeated(batch, decoded, models.champion, now_ms)
        result.repeats = len(repeated)
        watch.lap("detect")
        scored: Scored | None = None
        odd: dict[Signal, list[int]] = {}
        if decoded.records:
            scored = models.champion.score(decoded, now_ms)
            watch.lap("score")
            predictions, result.decisions = scored.predictions, scored.decisions
            if models.champion.answers:
                self.known.remember(batch, decoded, models.champion.answers(scored.probabilities))
            odd = models.champion.singles(scored) | self.known.odd(decoded.records, scored.values, columns)
            odd["new_near"] = near_of_new(scored, odd.get("new_patient", []))
            keys = batch.keys if len(predictions) == len(batch) else [batch.keys[row] for row in decoded.rows]
            result.outputs[PREDICTIONS.name] = list(zip(keys, predictions, strict=True))
            result.newest_ms = max(map(_OBSERVED_AT, decoded.records), default=None)
            now_s = watch.lap("detect")
            if models.shadows:
                on_trial = self._shadows(models.shadows, decoded, now_s - watch.started_s, now_ms)
                result.shadows = {role: len(answers) for role, answers in on_trial}
                result.shadow_skipped = 0 if on_trial else len(predictions)
                result.outputs[SHADOW_PREDICTIONS.name] = [
                    record for _, answers in on_trial for record in zip(keys, answers, strict=True)
                ]
                watch.lap("trial")
        _quarantine(batch, decoded, self._sealer, result)
        watch.lap("seal")
        part = _part(models.champion, scored)
        result.tell(of_events(batch, decoded, repeated, odd, part, now_ms))
        watch.lap("detect")
        return result


class OutcomePipeline:
    """patient-outcomes: decode, authenticate, compare with what was predicted. Nothing but signals is written of it."""

    def __init__(
        self, decoder: Decoder[Outcome], sealer: Sealer, outcomes: Outcomes, clock_s: Callable[[], float]
    ) -> None:
        self._decoder, self._sealer, self._clock_s = decoder, sealer, clock_s
        self.outcomes = outcomes

    def __call__(self, batch: Batch, now_ms: int) -> Result:
        watch = Stopwatch(self._clock_s)
        result = Result(seconds=watch.seconds)
        decoded = self._decoder(batch, now_ms)
        _quarantine(batch, decoded, self._sealer, result)
        matched = self.outcomes(batch, decoded, now_ms)
        result.outcomes = matched.counts
        result.tell(of_outcomes(batch, decoded, matched, now_ms))
        watch.lap("outcomes")
        return result


def _part(model: LoadedModel, scored: Scored | None) -> Part | None:
    """Return the sketch of what was scored; None where nothing was, or the model has no reference."""
    if model.sketcher is None or scored is None or not scored.predictions:
        return None
    step = max(1, len(scored.predictions) // _SKETCHED)
    sketch = model.sketcher.sketch(scored.values[::step], scored.probabilities[::step])
    return Part(model.bundle.digest, sketch.events, list(sketch.totals), model.baseline_version)


def _quarantine(batch: Batch, decoded: Decoded[Event] | Decoded[Outcome], sealer: Sealer, result: Result) -> None:
    rejected = decoded.rejected
    if rejected:
        result.quarantined = sealer.seal(
            (rejected[row], batch.origin(row), frame(batch.keys[row], batch.values[row])) for row in sorted(rejected)
        )
        result.reasons = Counter(error.reason for error in rejected.values())
