"""What a worker tells the outside: metrics under the names of `contracts.metrics`, and one log line an event."""

import logging
import math
from collections.abc import Iterable, Mapping
from typing import cast, get_args

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from contracts.events import Decision
from contracts.metrics import METRICS, CounterName, GaugeName, HistogramName, Step
from contracts.reasons import Reason
from models.outcomes import Performance
from stream_app.batch import Batch
from stream_app.detectors.figures import Compared, Figures
from stream_app.model_slot import Models
from stream_app.pipeline import Result

log = logging.getLogger("cardiosentry")

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series of each series' birth, which nobody reads

_MATCHES = ("matched", "repeated", "unmatched")
_TRIALS = ("challenger", "shadow")


class Telemetry:
    """Counts into a registry of its own, so that two workers in one process do not meet.

    Counters are there from the start, at 0, those of alerts by `rules`: whoever sees one for the first time at 1 cannot
    know that it rose.
    """

    def __init__(self, rules: Iterable[str] = ()) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._records = self._counter("cardiosentry_records_total")
        self._predictions = self._counter("cardiosentry_predictions_total")
        self._shadow_predictions = self._counter("cardiosentry_shadow_predictions_total")
        self._shadow_skipped = self._counter("cardiosentry_shadow_skipped_total")
        self._repeats = self._counter("cardiosentry_repeats_total")
        self._outcomes = self._counter("cardiosentry_outcomes_total")
        self._quarantined = self._counter("cardiosentry_quarantined_total")
        self._alerts = self._counter("cardiosentry_alerts_total")
        self._commits = self._counter("cardiosentry_commits_total")
        self._rewinds = self._counter("cardiosentry_rewinds_total")
        self._partitions = self._gauge("cardiosentry_assigned_partitions")
        self._lag = self._gauge("cardiosentry_lag_records")
        self._watching = self._gauge("cardiosentry_watching")
        self._model = self._gauge("cardiosentry_model_info")
        self._released = self._gauge("cardiosentry_model_released_timestamp_seconds")
        self._ends = self._gauge("cardiosentry_model_ends_timestamp_seconds")
        self._drift = self._gauge("cardiosentry_drift_distance")
        self._drift_events = self._gauge("cardiosentry_drift_events")
        self._quality = self._gauge("cardiosentry_quality_distance")
        self._quality_outcomes = self._gauge("cardiosentry_quality_outcomes")
        self._performance = self._gauge("cardiosentry_performance")
        self._batch = self._histogram("cardiosentry_batch_records")
        self._age = self._histogram("cardiosentry_event_age_seconds")
        seconds = self._histogram("cardiosentry_step_seconds")
        self._seconds = {step: seconds.labels(step) for step in get_args(Step)}
        for counter, values in (
            (self._predictions, get_args(Decision)),
            (self._shadow_predictions, _TRIALS),
            (self._outcomes, _MATCHES),
            (self._quarantined, Reason),
            (self._alerts, rules),
        ):
            for value in values:
                counter.labels(value)

    def processed(self, batch: Batch, result: Result, now_ms: int) -> None:
        self._records.labels(batch.topic).inc(len(batch))
        for decision, count in result.decisions.items():
            self._predictions.labels(decision).inc(count)
        for match, count in result.outcomes.items():
            self._outcomes.labels(match).inc(count)
        for reason, count in result.reasons.items():
            self._quarantined.labels(reason).inc(count)
        for rule, count in result.alerts.items():
            self._alerts.labels(rule).inc(count)
        for role, count in result.shadows.items():
            self._shadow_predictions.labels(role).inc(count)
        self._shadow_skipped.inc(result.shadow_skipped)
        self._repeats.inc(result.repeats)
        self._batch.observe(len(batch))
        for step, seconds in result.seconds.items():
            self._seconds[step].observe(seconds)
        if result.newest_ms is not None:
            self._age.observe(max(0.0, (now_ms - result.newest_ms) / 1000))

    def committed(self, seconds: float) -> None:
        self._commits.inc()
        self._seconds["commit"].observe(seconds)

    def rewound(self, why: str) -> None:
        self._rewinds.inc()
        log.warning("rewind why=%r", why)

    def assigned(self, partitions: int) -> None:
        self._partitions.set(partitions)
        log.info("assigned partitions=%d", partitions)

    def alerted(self, rule: str) -> None:
        self._alerts.labels(rule).inc()

    def measured(self, lag: Mapping[str, int], figures: Figures, *, watches: bool) -> None:
        """Take what is measured when somebody asks: `lag` by topic, what is watched, whether this worker watches."""
        self._lag.clear()
        for topic, records in lag.items():
            self._lag.labels(topic).set(records)
        self._watching.set(watches)
        self._compared(figures.drift, self._drift, self._drift_events)
        self._compared(figures.quality, self._quality, self._quality_outcomes)
        self._performance.clear()
        self._performed("reference", figures.reference)
        self._performed("scores", figures.drift.performance if figures.drift else None)
        self._performed("outcomes", figures.quality.performance if figures.quality else None)

    def _compared(self, compared: Compared | None, distances: Gauge, events: Gauge) -> None:
        distances.clear()
        events.set(compared.events if compared else 0)
        for statistic, distance in compared.distances.items() if compared else ():
            distances.labels(statistic).set(distance)

    def _performed(self, by: str, performance: Performance | None) -> None:
        for measure, value in msgspec.structs.asdict(performance).items() if performance else ():
            if math.isfinite(value):  # without any ill patient there is no sensitivity
                self._performance.labels(measure, by).set(value)

    def models(self, models: Models) -> None:
        for gauge in (self._model, self._released, self._ends):
            gauge.clear()
        if models.champion is None:
            log.warning("model role=champion none")
        for model in (*((models.champion,) if models.champion else ()), *models.shadows):
            manifest, release = model.bundle.manifest, model.release
            numbers = (str(release.version), str(model.baseline_version))
            self._model.labels(release.role, manifest.name, manifest.version, *numbers, release.digest).set(1)
            self._released.labels(release.role, release.digest).set(release.created_at / 1000)
            self._ends.labels(release.role, release.digest).set(release.expires_at / 1000)
            log.info(
                "model role=%s release=%d name=%s version=%s digest=%s baseline=%d",
                release.role,
                release.version,
                manifest.name,
                manifest.version,
                release.digest,
                model.baseline_version,
            )

    def exposition(self) -> bytes:
        """Return every metric in the Prometheus text format."""
        return generate_latest(self._registry)

    def _counter(self, name: CounterName) -> Counter:
        metric = METRICS[name]
        return Counter(name, metric.help, metric.labels, registry=self._registry)

    def _gauge(self, name: GaugeName) -> Gauge:
        metric = METRICS[name]
        return Gauge(name, metric.help, metric.labels, registry=self._registry)

    def _histogram(self, name: HistogramName) -> Histogram:
        metric = METRICS[name]
        return Histogram(
            name, metric.help, metric.labels, registry=self._registry, buckets=cast("list[float]", metric.buckets)
        )
