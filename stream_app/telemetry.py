"""What a worker tells the outside: metrics under the names of `contracts.metrics`, and one log line an event."""

import logging
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from contracts.metrics import METRICS, CounterName, GaugeName, HistogramName
from stream_app.batch import Batch
from stream_app.model_slot import Models
from stream_app.pipeline import Result

log = logging.getLogger("cardiosentry")


class Telemetry:
    """Counts into a registry of its own, so that two workers in one process do not meet."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
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
        self._model = self._gauge("cardiosentry_model_info")
        self._batch = self._histogram("cardiosentry_batch_records")
        self._commit_seconds = self._histogram("cardiosentry_commit_seconds")
        self._age = self._histogram("cardiosentry_event_age_seconds")

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
        if result.newest_ms is not None:
            self._age.observe(max(0.0, (now_ms - result.newest_ms) / 1000))

    def committed(self, seconds: float) -> None:
        self._commits.inc()
        self._commit_seconds.observe(seconds)

    def rewound(self, why: str) -> None:
        self._rewinds.inc()
        log.warning("rewind why=%r", why)

    def assigned(self, partitions: int) -> None:
        self._partitions.set(partitions)
        log.info("assigned partitions=%d", partitions)

    def lag(self, records: int) -> None:
        self._lag.set(records)

    def models(self, models: Models) -> None:
        self._model.clear()
        if models.champion is None:
            log.warning("model role=champion none")
        for model in (*((models.champion,) if models.champion else ()), *models.shadows):
            manifest, release = model.bundle.manifest, model.release
            self._model.labels(release.role, manifest.name, manifest.version, release.digest).set(1)
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
