"""Model and drift: which model scores, how good it is, and how far its patients are from its reference."""

from monitoring.grafana.panels import Panel
from monitoring.grafana.queries import CHAMPION, JOB, one, rate


def _performance(measure: str, says: str) -> Panel:
    return Panel(
        measure.capitalize(),
        f"{says} On the reference; by the last scores, if they mean what they meant; by the last outcomes.",
        [(f'max by (by) (cardiosentry_performance{{{JOB},measure="{measure}"}})', "{{by}}")],
        "number" if measure == "brier" else "share",
        width=6,
    )


ROWS = (
    (
        "The champion",
        (
            Panel(
                "Models in use",
                "Release, and the baseline that drift is measured against: 0 is the bundle's own reference.",
                [
                    (
                        f"max by (role, name, version, release, baseline, digest) (cardiosentry_model_info{{{JOB}}})",
                        "",
                    )
                ],
                "number",
                "table",
                12,
            ),
            Panel(
                "Released",
                "How long the champion has been the champion.",
                [(f"time() - {one('model_released_timestamp_seconds', CHAMPION)}", "")],
                "seconds",
                "now",
                4,
                180 * 86_400,
            ),
            Panel(
                "Ends in",
                "After this a worker that starts does not load it.",
                [(f"{one('model_ends_timestamp_seconds', CHAMPION)} - time()", "")],
                "seconds",
                "now",
                4,
                7 * 86_400,
                True,
            ),
            Panel(
                "Alerts in the day before",
                "Of drift, quality and poisoned outcomes.",
                [
                    (
                        f"sum(increase(cardiosentry_alerts_total{{{JOB},"
                        'rule=~"drift|quality|poisoned-outcomes"}[1d]))',
                        "",
                    )
                ],
                "number",
                "now",
                4,
                1,
            ),
        ),
    ),
    (
        "How good it is",
        (
            _performance("sensitivity", "Recall: of the ill, how many it finds."),
            _performance("specificity", "Of the others, how many it lets go."),
            _performance("precision", "Of those it finds, how many are ill."),
            _performance("brier", "Mean squared error of the probability: less is better."),
        ),
    ),
    (
        "How far the stream is from the reference (1 is as rare as an alarm)",
        (
            Panel(
                "Drift now",
                "By statistic: each feature, the score, what is missing, all features, two at a time, performance.",
                [(f"sort_desc(max by (statistic) (cardiosentry_drift_distance{{{JOB}}}))", "{{statistic}}")],
                "number",
                "bars",
                8,
                1,
            ),
            Panel(
                "Drift",
                "The last 1,000 to 2,000 events against the champion's reference or the hospital's baseline.",
                [(f"max by (statistic) (cardiosentry_drift_distance{{{JOB}}})", "{{statistic}}")],
                "number",
                alarm=1,
            ),
            Panel(
                "Quality",
                "The last 1,000 to 2,000 outcomes against what the scores let expect.",
                [(f"max by (statistic) (cardiosentry_quality_distance{{{JOB}}})", "{{statistic}}")],
                "number",
                alarm=1,
            ),
            Panel(
                "Behind these figures",
                "Events and outcomes that they are of: of few, they say little.",
                [(one("drift_events"), "events"), (one("quality_outcomes"), "outcomes")],
                "records",
                width=12,
            ),
            Panel(
                "Models on trial",
                "Predictions by role, and events that were left out for want of time.",
                [
                    (rate("shadow_predictions_total", "role"), "{{role}}"),
                    (rate("shadow_skipped_total", "job"), "left out"),
                ],
                "records/s",
                width=12,
            ),
        ),
    ),
    (
        "The last retrain",
        (
            Panel(
                "Ended before",
                "And how: released, refused by a gate, or broken.",
                [('time() - cardiosentry_retrain_finished_timestamp_seconds{group="$group"}', "{{verdict}}")],
                "seconds",
                "now",
                4,
                35 * 86_400,
            ),
            Panel(
                "Released before",
                "When a run last released a challenger.",
                [('time() - cardiosentry_retrain_released_timestamp_seconds{group="$group"}', "")],
                "seconds",
                "now",
                4,
            ),
            Panel(
                "Steps and gates",
                "1 passed, 0 did not: report.html of the run says why.",
                [('cardiosentry_retrain_step_passed{group="$group"}', "{{step}}")],
                "number",
                "bars",
                8,
                1,
                True,
            ),
            Panel(
                "Time of each step",
                "Of the last run.",
                [('cardiosentry_retrain_step_seconds{group="$group"}', "{{step}}")],
                "seconds",
                "bars",
            ),
        ),
    ),
)
