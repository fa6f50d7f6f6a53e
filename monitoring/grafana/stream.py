"""Stream at a glance: rate, latency, lag, quarantine and alerts of one system's workers."""

from monitoring.grafana.panels import Panel
from monitoring.grafana.queries import JOB, quantile, rate

BESIDE = "Beside the workers"
_QUARANTINED = (
    f"sum(rate(cardiosentry_quarantined_total{{{JOB}}}[$__rate_interval])) / "
    f'sum(rate(cardiosentry_records_total{{{JOB},topic!~".*detection-signals"}}[$__rate_interval]))'
)

ROWS = (
    (
        "Now",
        (
            Panel(
                "Events a second",
                "Patient events read, over all workers.",
                [(f'sum(rate(cardiosentry_records_total{{{JOB},topic=~".*patient-events"}}[$__rate_interval]))', "")],
                "records/s",
                "now",
                4,
            ),
            Panel(
                "Late at most",
                "From observation to scoring, of ninety-nine batches in a hundred (their newest event).",
                [(quantile(0.99, "event_age_seconds"), "")],
                "seconds",
                "now",
                4,
                5,
            ),
            Panel(
                "Records waiting",
                "Between the workers' positions and the ends of the topics.",
                [(f"sum(cardiosentry_lag_records{{{JOB}}})", "")],
                "records",
                "now",
                4,
                10_000,
            ),
            Panel("Into quarantine", "Of all records read.", [(_QUARANTINED, "")], "share", "now", 4, 0.05),
            Panel("Workers up", "That answer Prometheus.", [(f"sum(up{{{JOB}}})", "")], "number", "now", 4, 1, True),
            Panel(
                "Workers that watch",
                "One holds detection-signals; without it no attack and no drift is told.",
                [(f"sum(cardiosentry_watching{{{JOB}}})", "")],
                "number",
                "now",
                4,
                1,
                True,
            ),
        ),
    ),
    (
        "What comes and goes",
        (
            Panel(
                "Records read",
                "By topic. Detection signals are a record for each batch of the others.",
                [(rate("records_total", "topic"), "{{topic}}")],
                "records/s",
            ),
            Panel(
                "Predictions",
                "By decision; insufficient_data had too many values missing.",
                [(rate("predictions_total", "decision"), "{{decision}}")],
                "records/s",
            ),
            Panel(
                "Outcomes",
                "By what became of them; unmatched are those whose prediction is no longer remembered.",
                [(rate("outcomes_total", "match"), "{{match}}")],
                "records/s",
            ),
            Panel(
                "Quarantine",
                "By reason. mac_ and source_not_bound: a forger or a wrong key. pseudonym: raw identifiers.",
                [(rate("quarantined_total", "reason") + " > 0", "{{reason}}")],
                "records/s",
            ),
            Panel(
                "Alerts in the hour before",
                "By rule; each is a document on security-alerts or model-alerts, with its runbook.",
                [(f"sum by (rule) (increase(cardiosentry_alerts_total{{{JOB}}}[1h])) > 0", "{{rule}}")],
                "number",
            ),
            Panel(
                "Repeated events",
                "Dropped, because they came before with the same bytes.",
                [(rate("repeats_total", "job"), "repeats")],
                "records/s",
            ),
        ),
    ),
    (
        "Where time goes",
        (
            Panel(
                "Age of events when scored",
                "Of the newest event of each batch. Old records that are sent again look late.",
                [(quantile(0.5, "event_age_seconds"), "half"), (quantile(0.99, "event_age_seconds"), "99 in 100")],
                "seconds",
                alarm=5,
            ),
            Panel(
                "Time of each step for a batch",
                "99 in 100 are faster. write and commit wait for the brokers; seal is for quarantine.",
                [(quantile(0.99, "step_seconds", "step, "), "{{step}}")],
                "seconds",
            ),
            Panel(
                "Share of a core by step",
                "How much of a core's time each step takes, waiting included.",
                [(rate("step_seconds_sum", "step"), "{{step}}")],
                "cores",
            ),
            Panel(
                "Records waiting",
                "By topic.",
                [(f"sum by (topic) (cardiosentry_lag_records{{{JOB}}})", "{{topic}}")],
                "records",
            ),
            Panel(
                "Records in a batch",
                "Few with nothing waiting, thousands with a backlog.",
                [(quantile(0.5, "batch_records"), "half"), (quantile(0.99, "batch_records"), "99 in 100")],
                "records",
            ),
            Panel(
                "Commits and rewinds a second",
                "A rewind is work that is done again from the last commit: now and then is fine.",
                [(rate("commits_total", "job"), "commits"), (rate("rewinds_total", "job"), "rewinds")],
                "number",
            ),
        ),
    ),
    (
        "Workers",
        (
            Panel(
                "Partitions held",
                "By worker; one that holds none is one too many.",
                [(f"cardiosentry_assigned_partitions{{{JOB}}}", "{{instance}}")],
                "number",
            ),
            Panel(
                "Processor",
                "Cores that each worker uses.",
                [(f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])", "{{instance}}")],
                "cores",
            ),
            Panel(
                "Memory",
                "Resident, by worker.",
                [(f"process_resident_memory_bytes{{{JOB}}}", "{{instance}}")],
                "bytes",
            ),
        ),
    ),
    (
        BESIDE,
        (
            Panel(
                "Shipped",
                "Records that Elasticsearch has, by lane.",
                [("sum by (lane) (rate(cardiosentry_ship_records_total[$__rate_interval]))", "{{lane}}")],
                "records/s",
            ),
            Panel(
                "Waiting to be shipped",
                "By lane; alerts have one of their own, so that predictions do not hold them up.",
                [("sum by (lane) (cardiosentry_ship_lag_records)", "{{lane}}")],
                "records",
                alarm=1_000,
            ),
            Panel(
                "Alerts that stand",
                "That Alertmanager is told of.",
                [("max(cardiosentry_notify_alerts)", "alerts")],
                "number",
            ),
            Panel(
                "Console",
                "Viewers that are connected.",
                [("sum(cardiosentry_console_viewers)", "")],
                "number",
                "now",
                6,
            ),
            Panel(
                "Console heard Kafka before",
                "A page that does not know of new alerts says so itself.",
                [("time() - min(cardiosentry_console_kafka_timestamp_seconds)", "")],
                "seconds",
                "now",
                6,
                60,
            ),
            Panel(
                "Retraining is frozen",
                "1 while `cardiosentry contain freeze` is in force.",
                [("max(cardiosentry_triggers_frozen)", "")],
                "number",
                "now",
                6,
                1,
            ),
            Panel(
                "Triggers looked before",
                "For reasons to retrain; not during a run.",
                [("time() - min(cardiosentry_triggers_looked_timestamp_seconds)", "")],
                "seconds",
                "now",
                6,
                600,
            ),
        ),
    ),
)
