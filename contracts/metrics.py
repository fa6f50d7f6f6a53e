"""Every metric that a worker exposes, with kind, unit and labels. A name that is not here does not type-check."""

from typing import Literal, TypeAlias

import msgspec

CounterName: TypeAlias = Literal[
    "cardiosentry_records_total",
    "cardiosentry_predictions_total",
    "cardiosentry_shadow_predictions_total",
    "cardiosentry_shadow_skipped_total",
    "cardiosentry_repeats_total",
    "cardiosentry_outcomes_total",
    "cardiosentry_quarantined_total",
    "cardiosentry_alerts_total",
    "cardiosentry_commits_total",
    "cardiosentry_rewinds_total",
]
GaugeName: TypeAlias = Literal[
    "cardiosentry_assigned_partitions",
    "cardiosentry_lag_records",
    "cardiosentry_model_info",
]
HistogramName: TypeAlias = Literal[
    "cardiosentry_batch_records",
    "cardiosentry_commit_seconds",
    "cardiosentry_event_age_seconds",
]
MetricName: TypeAlias = CounterName | GaugeName | HistogramName


class Metric(msgspec.Struct, frozen=True):
    """One metric: its help text (with the unit), its labels, and for a histogram the upper bounds of its buckets."""

    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: dict[MetricName, Metric] = {
    "cardiosentry_records_total": Metric("Records read, by topic.", ("topic",)),
    "cardiosentry_predictions_total": Metric("Predictions written, by decision.", ("decision",)),
    "cardiosentry_shadow_predictions_total": Metric("Predictions of models on trial, by role.", ("role",)),
    "cardiosentry_shadow_skipped_total": Metric("Events that models on trial left out for want of time."),
    "cardiosentry_repeats_total": Metric("Events that came before with the same bytes, and were dropped."),
    "cardiosentry_outcomes_total": Metric(
        "Good outcomes: matched with a prediction, repeated, or unmatched.", ("match",)
    ),
    "cardiosentry_quarantined_total": Metric("Records sent to quarantine, by reason.", ("reason",)),
    "cardiosentry_alerts_total": Metric("Alerts that detection rules raised, by rule.", ("rule",)),
    "cardiosentry_commits_total": Metric("Transactions (or offset commits) that succeeded."),
    "cardiosentry_rewinds_total": Metric("Times that work was aborted and done again from the last commit."),
    "cardiosentry_assigned_partitions": Metric("Partitions this worker holds."),
    "cardiosentry_lag_records": Metric("Records between this worker's position and the end of its partitions."),
    "cardiosentry_model_info": Metric("1 for the model in use.", ("role", "name", "version", "digest")),
    "cardiosentry_batch_records": Metric("Records in a batch.", (), (1, 10, 100, 500, 1000, 2000, 4000)),
    "cardiosentry_commit_seconds": Metric(
        "Time of one commit, seconds.", (), (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
    ),
    "cardiosentry_event_age_seconds": Metric(
        "From observation to scoring of the newest event of a batch, seconds.",
        (),
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
    ),
}
