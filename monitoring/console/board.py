"""What the page shows, made of records as they come: no I/O, no clock, and memory that is bounded whatever comes."""

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from contracts.codec import decoder
from contracts.detection import Moment, Signals
from contracts.reasons import Reason
from contracts.reference import Share
from monitoring.console import latency
from monitoring.console.alerts import Alerts
from monitoring.console.drift import DriftBoard, Reference, ShownColumn, ShownDrift
from monitoring.console.ring import Ring

STEP_MS, SLOTS = 2000, 150
"""Rate and latency: five minutes, a point every two seconds."""

_ON_THE_WAY_MS = 1000  # so late may come what belongs to a slot: signals are gathered for half a second
_LEAST_SLOTS = 30  # are shown where nothing was before

RISK_BINS = 20
_REASONS = tuple(reason.value for reason in Reason)
_KAFKA_LATE_MS = 8000


class ShownModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is in use, or the revoked and retired ones of late; `stage` as in models/lifecycle.py.

    `name`, `version`, `auc` and `threshold` are None while the store gives no manifest.
    """

    stage: str
    digest: str
    since: int
    until: int | None
    signed_by: tuple[str, ...]
    reason: str
    release: int | None
    name: str | None = None
    version: str | None = None
    auc: float | None = None
    threshold: float | None = None


class Models(msgspec.Struct, frozen=True):
    """The models by role, and what the champion's stream is compared with."""

    rows: tuple[ShownModel, ...] = ()
    columns: tuple[ShownColumn, ...] = ()
    together: dict[str, str] = {}
    baseline: int = 0


class Tick(msgspec.Struct, frozen=True):
    """What changes all the time. Times are epoch milliseconds, latencies ms from observation to scoring.

    `rates` are events a second, a point every `step_ms`, the newest last, as far back as anything is known. `sampled`
    says that latencies and risks are of a part of the predictions, `quarantine_cut` that more went to quarantine than
    was counted.
    """

    now: int
    step_ms: int
    kafka_since: int | None
    rate: float
    rates: list[float]
    p50: float | None
    p99: float | None
    p50s: list[float | None]
    p99s: list[float | None]
    risks: list[int]
    threshold: float | None
    sampled: bool
    quarantined: dict[str, int]
    quarantine_cut: bool
    alerts: dict[str, int]
    alerts_unreadable: int
    drift: ShownDrift | None


class _Prediction(msgspec.Struct):
    probability: Share | None
    threshold: Share
    observed_at: Moment
    scored_at: Moment


class Board:
    """Takes records in and says what to show. Every call is from one thread."""

    def __init__(self) -> None:
        self._signals, self._prediction = decoder(Signals), decoder(_Prediction)
        self._scored = Ring(1, slots=SLOTS + 2, step_ms=STEP_MS)
        self._latencies = Ring(latency.BINS, slots=SLOTS + 2, step_ms=STEP_MS)
        self._risks = Ring(RISK_BINS, slots=60, step_ms=10_000)
        self._quarantined = Ring(len(_REASONS), slots=60, step_ms=60_000)
        self._predictions_cut = Ring(1, slots=60, step_ms=10_000)  # how often they were not read whole
        self._quarantine_cut = Ring(1, slots=60, step_ms=60_000)
        self._drift = DriftBoard()
        self._threshold: float | None = None
        self.kafka_at = 0
        """When the broker last answered, epoch milliseconds."""
        self._first_ms: int | None = None  # of what was scored; what was before is not known to be nothing
        self.alerts = Alerts()
        self.models = Models()
        self.reference: Reference | None = None

    def kafka_answered(self, now_ms: int) -> None:
        """Note that the broker is there."""
        self.kafka_at = now_ms

    def take_signals(self, values: Iterable[bytes], now_ms: int) -> None:
        """Take records of detection-signals; what is none (the watch's own state) is left out."""
        for value in values:
            try:
                signals = self._signals(value)
            except (ValueError, RecursionError):
                continue
            scored = sum(source.counts.get("scored", 0) for source in signals.sources.values())
            self._scored.add(signals.at, [scored], now_ms=now_ms)
            if scored:
                self._first_ms = min(signals.at, self._first_ms or signals.at)
            if signals.part:
                self._drift.take(signals.part, signals.at, now_ms=now_ms)

    def take_predictions(self, values: Iterable[bytes], now_ms: int, *, whole: bool) -> None:
        """Take records of predictions; without `whole`, others were passed over after them."""
        found: list[_Prediction] = []
        for value in values:
            try:
                found.append(self._prediction(value))
            except (ValueError, RecursionError):
                continue
        if not found:
            return
        self._predictions_cut.add(now_ms, [not whole], now_ms=now_ms)
        self._latencies.add(
            now_ms, latency.bins_of([each.scored_at - each.observed_at for each in found]), now_ms=now_ms
        )
        risks = np.array([each.probability for each in found if each.probability is not None])
        places = np.clip(risks * RISK_BINS, 0, RISK_BINS - 1).astype(np.intp)
        self._risks.add(now_ms, np.bincount(places, minlength=RISK_BINS), now_ms=now_ms)
        self._threshold = found[-1].threshold

    def take_quarantined(self, reasons: Iterable[tuple[int, str]], now_ms: int, *, whole: bool) -> None:
        """Take times (epoch milliseconds) and reasons of quarantined records; `whole` as in `take_predictions`."""
        self._quarantine_cut.add(now_ms, [not whole], now_ms=now_ms)
        for at_ms, reason in reasons:
            if reason in _REASONS:
                counts = [0] * len(_REASONS)
                counts[_REASONS.index(reason)] = 1
                self._quarantined.add(at_ms, counts, now_ms=now_ms)

    def tick(self, now_ms: int) -> Tick:
        """Return what to show now."""
        known = (now_ms - (self._first_ms or now_ms)) // STEP_MS + 1
        filling = 1 if now_ms % STEP_MS >= _ON_THE_WAY_MS else 2
        shown = slice(-min(max(known, _LEAST_SLOTS), SLOTS) - filling, -filling)
        rates = self._scored.series(now_ms)[shown, 0] / (STEP_MS / 1000)
        latencies = self._latencies.series(now_ms)[shown]
        recent = latencies[-5:].sum(axis=0)
        quarantined: Mapping[str, int] = dict(zip(_REASONS, self._quarantined.total(now_ms).tolist(), strict=True))
        return Tick(
            now=now_ms,
            step_ms=STEP_MS,
            kafka_since=self.kafka_at if now_ms - self.kafka_at > _KAFKA_LATE_MS else None,
            rate=round(float(rates[-3:].mean()), 1),
            rates=rates.tolist(),
            p50=latency.quantile(recent, 0.5),
            p99=latency.quantile(recent, 0.99),
            p50s=[latency.quantile(counts, 0.5) for counts in latencies],
            p99s=[latency.quantile(counts, 0.99) for counts in latencies],
            risks=self._risks.total(now_ms).tolist(),
            threshold=self._threshold,
            sampled=bool(self._predictions_cut.total(now_ms)[0]),
            quarantined={reason: count for reason, count in quarantined.items() if count},
            quarantine_cut=bool(self._quarantine_cut.total(now_ms)[0]),
            alerts=self.alerts.counts(now_ms),
            alerts_unreadable=self.alerts.unreadable,
            drift=self._drift.shown(self.reference, now_ms) if self.reference else None,
        )
