"""Every metric that we expose or push, with kind, unit and labels. A name that is not here does not type-check."""

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
    "cardiosentry_ship_records_total",
    "cardiosentry_ship_rejected_total",
    "cardiosentry_ship_gone_total",
    "cardiosentry_console_let_go_total",
    "cardiosentry_triggers_runs_total",
]
GaugeName: TypeAlias = Literal[
    "cardiosentry_assigned_partitions",
    "cardiosentry_lag_records",
    "cardiosentry_watching",
    "cardiosentry_model_info",
    "cardiosentry_model_released_timestamp_seconds",
    "cardiosentry_model_ends_timestamp_seconds",
    "cardiosentry_drift_distance",
    "cardiosentry_drift_events",
    "cardiosentry_quality_distance",
    "cardiosentry_quality_outcomes",
    "cardiosentry_performance",
    "cardiosentry_ship_lag_records",
    "cardiosentry_notify_alerts",
    "cardiosentry_notify_waiting",
    "cardiosentry_notify_watchdog",
    "cardiosentry_console_viewers",
    "cardiosentry_console_lag_records",
    "cardiosentry_console_kafka_timestamp_seconds",
    "cardiosentry_triggers_looked_timestamp_seconds",
    "cardiosentry_triggers_running",
    "cardiosentry_triggers_frozen",
    "cardiosentry_triggers_commits_waiting",
]
RetrainName: TypeAlias = Literal[
    "cardiosentry_retrain_step_seconds",
    "cardiosentry_retrain_step_passed",
    "cardiosentry_retrain_finished_timestamp_seconds",
    "cardiosentry_retrain_released_timestamp_seconds",
]
HistogramName: TypeAlias = Literal[
    "cardiosentry_batch_records",
    "cardiosentry_step_seconds",
    "cardiosentry_event_age_seconds",
]
MetricName: TypeAlias = CounterName | GaugeName | RetrainName | HistogramName

Step: TypeAlias = Literal["decode", "score", "trial", "detect", "seal", "outcomes", "watch", "write", "commit"]

STEPS: dict[Step, str] = {
    "decode": "of patient events: read and authenticate them",
    "score": "the champion, and the encoding of its predictions",
    "trial": "the models on trial",
    "detect": "what came before, what is odd, what is told to the one that watches",
    "seal": "encrypt what goes to quarantine",
    "outcomes": "all that is done with a batch of patient outcomes",
    "watch": "all that is done with a batch of detection signals",
    "write": "hand records to the producer",
    "commit": "end the transaction",
}
"""What a worker does with a batch, in the order in which it does it."""


class Metric(msgspec.Struct, frozen=True):
    """One metric: its help text (with the unit), its labels, and for a histogram the upper bounds of its buckets.

    `by` says who has it: every worker, the one that watches, the Pushgateway after a retrain, or one of the processes
    beside the workers.
    """

    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    by: Literal["worker", "watching worker", "retrain", "ship", "notify", "console", "triggers"] = "worker"


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
    "cardiosentry_alerts_total": Metric("Alerts that workers raised, by rule.", ("rule",)),
    "cardiosentry_commits_total": Metric("Transactions (or offset commits) that succeeded."),
    "cardiosentry_rewinds_total": Metric("Times that work was aborted and done again from the last commit."),
    "cardiosentry_assigned_partitions": Metric("Partitions this worker holds."),
    "cardiosentry_lag_records": Metric(
        "Records between this worker's position and the end of its partitions, by topic.", ("topic",)
    ),
    "cardiosentry_watching": Metric("1 for the worker that watches (it holds detection-signals), 0 for the others."),
    "cardiosentry_model_info": Metric(
        "1 for each model in use: its release, and the version of the baseline that drift is measured against, 0 for "
        "the bundle's own reference.",
        ("role", "name", "version", "release", "baseline", "digest"),
    ),
    "cardiosentry_model_released_timestamp_seconds": Metric(
        "When each model in use was released, seconds since 1970.", ("role", "digest")
    ),
    "cardiosentry_model_ends_timestamp_seconds": Metric(
        "Until when each model in use may be loaded, seconds since 1970.", ("role", "digest")
    ),
    "cardiosentry_drift_distance": Metric(
        "How far the champion's last 1,000 to 2,000 events are from its reference, by statistic: a feature, score, "
        "missing, features (all together), joint (two at a time), performance. 0 is as usual, 1 as rare as an alarm.",
        ("statistic",),
        by="watching worker",
    ),
    "cardiosentry_drift_events": Metric(
        "Events behind cardiosentry_drift_distance; of a large batch a part.", by="watching worker"
    ),
    "cardiosentry_quality_distance": Metric(
        "How far the champion's last 1,000 to 2,000 outcomes are from what its scores let expect, by statistic: "
        "calibration, slope, bins, brier, sensitivity, specificity. 0 is as usual, 1 as rare as an alarm.",
        ("statistic",),
        by="watching worker",
    ),
    "cardiosentry_quality_outcomes": Metric("Outcomes behind cardiosentry_quality_distance.", by="watching worker"),
    "cardiosentry_performance": Metric(
        "How good the champion is, by measure: brier, sensitivity (recall), specificity, precision; and by what that "
        "is known: reference (the patients that drift is measured against), scores (the last events, if a score still "
        "means what it meant), outcomes (the last outcomes).",
        ("measure", "by"),
        by="watching worker",
    ),
    "cardiosentry_ship_records_total": Metric("Records that Elasticsearch has, by lane.", ("lane",), by="ship"),
    "cardiosentry_ship_rejected_total": Metric(
        "Records that could not be shipped and stand in ship-rejects, by lane.", ("lane",), by="ship"
    ),
    "cardiosentry_ship_gone_total": Metric(
        "Records that Kafka deleted before they were shipped, by lane; what transactions put between them counts too.",
        ("lane",),
        by="ship",
    ),
    "cardiosentry_ship_lag_records": Metric(
        "Records between what is shipped and committed and the end of this process's partitions, by lane.",
        ("lane",),
        by="ship",
    ),
    "cardiosentry_notify_alerts": Metric("Alerts that stand.", by="notify"),
    "cardiosentry_notify_waiting": Metric(
        "1 while Alertmanager or Kafka does not take what was read, 0 otherwise.", by="notify"
    ),
    "cardiosentry_notify_watchdog": Metric("1 while the watchdog is posted, 0 while it is not.", by="notify"),
    "cardiosentry_console_viewers": Metric("Viewers connected.", by="console"),
    "cardiosentry_console_let_go_total": Metric(
        "Viewers let go because they did not take what was said; a page comes back by itself.", by="console"
    ),
    "cardiosentry_console_lag_records": Metric(
        "Records between what the console has read and the end, by topic, of those that it reads whole.",
        ("topic",),
        by="console",
    ),
    "cardiosentry_console_kafka_timestamp_seconds": Metric(
        "When Kafka last answered the console, seconds since 1970; 0 before it did.", by="console"
    ),
    "cardiosentry_triggers_looked_timestamp_seconds": Metric(
        "When triggers last looked for reasons and could tell, seconds since 1970; 0 before they did. During a run "
        "they do not look.",
        by="triggers",
    ),
    "cardiosentry_triggers_running": Metric("1 while a run that triggers began is under way.", by="triggers"),
    "cardiosentry_triggers_frozen": Metric("1 while a freeze keeps a run from beginning.", by="triggers"),
    "cardiosentry_triggers_commits_waiting": Metric("Commits that wait for a run.", by="triggers"),
    "cardiosentry_triggers_runs_total": Metric(
        "Runs that triggers began, counted when they end, by reason: timer, outcomes, alert, commit.",
        ("reason",),
        by="triggers",
    ),
    "cardiosentry_retrain_step_seconds": Metric(
        "Time of each step of the last retrain, seconds.", ("step",), by="retrain"
    ),
    "cardiosentry_retrain_step_passed": Metric(
        "1 for each step and gate of the last retrain that passed, 0 for one that did not.", ("step",), by="retrain"
    ),
    "cardiosentry_retrain_finished_timestamp_seconds": Metric(
        "When the last retrain ended, seconds since 1970, and how: released, refused by a gate, or broken.",
        ("verdict",),
        by="retrain",
    ),
    "cardiosentry_retrain_released_timestamp_seconds": Metric(
        "When a retrain last released a challenger, seconds since 1970.", by="retrain"
    ),
    "cardiosentry_batch_records": Metric("Records in a batch.", (), (1, 10, 100, 500, 1000, 2000, 4000)),
    "cardiosentry_step_seconds": Metric(
        "Time that each step takes for one batch, and a commit for all since the last, seconds.",
        ("step",),
        (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    ),
    "cardiosentry_event_age_seconds": Metric(
        "From observation to scoring of the newest event of a batch, seconds.",
        (),
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
    ),
}
