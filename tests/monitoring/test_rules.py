"""Each alert of monitoring/prometheus fires when it should, is silent when not, and names what there is."""

import json
import re
import runpy
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.metrics import METRICS
from tests.monitoring.series import assert_written

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "monitoring" / "prometheus"
FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))


def rules(kind: str) -> list[dict[str, Any]]:
    """Return every rule of a kind, alert or record, in the order of the files."""
    groups = (group for file in FILES for group in yaml.safe_load(file.read_text())["groups"])
    return [rule for group in groups for rule in group["rules"] if kind in rule]


ALERTS = rules("alert")
RECORDED = {rule["record"] for rule in rules("record")}

JOB = 'job="cardiosentry"'
UP = f'up{{{JOB},instance="a"}}'
EVENTS, SIGNALS = ("patient-events", "detection-signals")
DAY_S = 86_400


def lag(values: str) -> dict[str, str]:
    return {f'cardiosentry_lag_records{{{JOB},topic="{EVENTS}"}}': values}


def metric(name: str, values: str, labels: str = "") -> dict[str, str]:
    return {f"cardiosentry_{name}{{{JOB}{labels}}}": values}


def ages(le_10: str, le_inf: str) -> dict[str, str]:
    """Return the ages of batches: those of at most 10 s (all of them more than 2.5) and all."""
    buckets = {"0.005": "0x60", "2.5": "0x60", "10": le_10, "+Inf": le_inf}
    return {f'cardiosentry_event_age_seconds_bucket{{{JOB},le="{le}"}}': values for le, values in buckets.items()}


def looks(looked: str, running: str) -> dict[str, str]:
    return metric("triggers_looked_timestamp_seconds", looked) | metric("triggers_running", running)


@dataclass(frozen=True)
class Case:
    """`series` as promtool writes them, a value a minute from 0 on: whether `alert` fires `at` so many minutes."""

    alert: str
    says: str
    series: dict[str, str]
    at: int
    fires: bool


CASES = [
    Case("NoWorkerUp", "none is known", {}, 5, True),
    Case("NoWorkerUp", "none answers", {UP: "0x10"}, 5, True),
    Case("NoWorkerUp", "one of two does", {UP: "0x10", UP.replace('"a"', '"b"'): "1x10"}, 5, False),
    Case("WorkerDown", "for ten minutes", {UP: "1x5 0x10"}, 15, True),
    Case("WorkerDown", "for a moment", {UP: "1x5 0 0 1x20"}, 15, False),
    Case(
        "WorkerWithoutChampion",
        "a shadow alone",
        {UP: "1x10"} | metric("model_info", "1x10", ',role="shadow"'),
        5,
        True,
    ),
    Case(
        "WorkerWithoutChampion",
        "a champion",
        {UP: "1x10"} | metric("model_info", "1x10", ',role="champion",instance="a"'),
        5,
        False,
    ),
    Case("WatcherMissing", "of two none", metric("watching", "0x20", ',instance="a"'), 10, True),
    Case(
        "WatcherMissing",
        "one of two",
        metric("watching", "0x20", ',instance="a"') | metric("watching", "1x20", ',instance="b"'),
        10,
        False,
    ),
    Case("LagGrows", "for half an hour", lag("0+200x40"), 35, True),
    Case("LagGrows", "once, and is worked off", lag("9000-200x40"), 35, False),
    Case("LagGrows", "a few", lag("0+2x40"), 35, False),
    Case("CommitsStopped", "with records waiting", lag("5x20") | metric("commits_total", "7x20"), 15, True),
    Case("CommitsStopped", "nothing waits", lag("0x20") | metric("commits_total", "7x20"), 15, False),
    Case("CommitsStopped", "they go on", lag("5x20") | metric("commits_total", "0+9x20"), 15, False),
    Case("CommitsFail", "one a minute", metric("rewinds_total", "0+1x40"), 35, True),
    Case("CommitsFail", "a rebalance", metric("rewinds_total", "0x10 3x30"), 35, False),
    Case("LatencyHigh", "ten seconds", ages("0+60x40", "0+60x40"), 30, True),
    Case("LatencyHigh", "no batches", ages("0x40", "0x40"), 30, False),
    Case(
        "LatencyHigh",
        "milliseconds",
        dict.fromkeys(ages("", ""), "0+60x40"),
        30,
        False,
    ),
    Case(
        "QuarantineShareHigh",
        "one in ten",
        metric("records_total", "0+600x40", f',topic="{EVENTS}"')
        | metric("quarantined_total", "0+60x40", ',reason="schema"'),
        30,
        True,
    ),
    Case(
        "QuarantineShareHigh",
        "signals are no records to quarantine",
        metric("records_total", "0+600x40", f',topic="{EVENTS}"')
        | metric("records_total", "0+6000x40", f',topic="x-{SIGNALS}"')
        | metric("quarantined_total", "0+60x40", ',reason="schema"'),
        30,
        True,
    ),
    Case(
        "QuarantineShareHigh",
        "one in a hundred",
        metric("records_total", "0+600x40", f',topic="{EVENTS}"')
        | metric("quarantined_total", "0+6x40", ',reason="schema"'),
        30,
        False,
    ),
    Case(
        "QuarantineShareHigh",
        "one of a handful",
        metric("records_total", "0+6x40", f',topic="{EVENTS}"')
        | metric("quarantined_total", "0+1x40", ',reason="schema"'),
        30,
        False,
    ),
    Case("BesideDown", "for ten minutes", {'up{job="beside",instance="a"}': "1x5 0x10"}, 15, True),
    Case("BesideDown", "for a moment", {'up{job="beside",instance="a"}': "1x5 0 1x20"}, 15, False),
    Case("ShippingBehind", "for half an hour", metric("ship_lag_records", "5000x40", ',lane="records"'), 35, True),
    Case("ShippingBehind", "a burst", metric("ship_lag_records", "9000-900x40", ',lane="records"'), 35, False),
    *(
        Case(
            "ShippingStopped",
            says,
            metric("ship_lag_records", lag, f',lane="{lane}"')
            | metric("ship_records_total", shipped, f',lane="{lane}"'),
            15,
            fires,
        )
        for says, lane, lag, shipped, fires in (
            ("one alert waits", "alerts", "0x3 1x20", "7x25", True),
            ("one statement waits", "audit", "0x3 1x20", "7x25", True),
            ("some always wait, and others are taken", "alerts", "3x25", "0+30x25", False),
            ("nothing waits", "alerts", "0x25", "7x25", False),
            ("predictions wait", "records", "3x25", "7x25", False),
            ("for a moment", "alerts", "0x3 1x3 0x20", "7x25", False),
        )
    ),
    Case("ShipRejects", "one", metric("ship_rejected_total", "0x5 1x20", ',lane="audit"'), 10, True),
    Case("ShipRejects", "none", metric("ship_rejected_total", "7x25", ',lane="audit"'), 10, False),
    Case("ShippingMissed", "some", metric("ship_gone_total", "0x5 800x20", ',lane="records"'), 10, True),
    Case("ShippingMissed", "none", metric("ship_gone_total", "800x25", ',lane="records"'), 10, False),
    Case("PagesWait", "for ten minutes", metric("notify_waiting", "1x10"), 8, True),
    Case("PagesWait", "for a moment", metric("notify_waiting", "0 1 1 0x20"), 8, False),
    Case("ConsoleStale", "for ten minutes", metric("console_kafka_timestamp_seconds", "0+60x5 300x15"), 15, True),
    Case("ConsoleStale", "it answers", metric("console_kafka_timestamp_seconds", "0+60x20"), 15, False),
    *(
        Case("TriggersBlind", says, looks(looked, running), at, fires)
        for says, looked, running, at, fires in (
            ("never since the start", "0x40", "0x40", 20, True),
            ("during a run", "0x40", "1x40", 20, False),
            ("a run that does not end", "0x400", "1x400", 370, True),
            ("as it should", "0+60x40", "0x40", 20, False),
            ("just after a run of half an hour", "0x30 1800+60x10", "1x30 0x10", 33, False),
        )
    ),
    Case("RetrainFrozen", "for four days", metric("triggers_frozen", "1x5760"), 5760, True),
    Case("RetrainFrozen", "for two days, and again", metric("triggers_frozen", "1x2880 0 1x2878"), 5759, False),
    Case("DriftLasts", "one feature", metric("drift_distance", "2x90", ',statistic="age"'), 80, True),
    Case("DriftLasts", "half an hour", metric("drift_distance", "0x30 2x30 0x60", ',statistic="age"'), 100, False),
    Case("DriftLasts", "less than an alarm", metric("drift_distance", "0.9x90", ',statistic="age"'), 80, False),
    Case("QualityLasts", "the slope", metric("quality_distance", "1.5x90", ',statistic="slope"'), 80, True),
    Case("QualityLasts", "less than an alarm", metric("quality_distance", "0.5x90", ',statistic="slope"'), 80, False),
    *(
        Case("ModelEnds", says, metric("model_ends_timestamp_seconds", f"{end_s}x10", f',role="{role}"'), 5, fires)
        for says, end_s, role, fires in (
            ("in six days", 6 * DAY_S, "champion", True),
            ("in eight days", 8 * DAY_S, "champion", False),
            ("a shadow in six days", 6 * DAY_S, "shadow", False),
        )
    ),
    *(
        Case("ModelAged", says, metric("model_released_timestamp_seconds", f"{at_s}x10", ',role="champion"'), 5, fires)
        for says, at_s, fires in (("seven months ago", -210 * DAY_S, True), ("a month ago", -30 * DAY_S, False))
    ),
    *(
        Case(
            "RetrainOverdue",
            says,
            metric("retrain_finished_timestamp_seconds", f"{at_s}x10", ',group="g",verdict="refused"'),
            5,
            fires,
        )
        for says, at_s, fires in (("two months ago", -60 * DAY_S, True), ("a month ago", -30 * DAY_S, False))
    ),
    *(
        Case(
            "RetrainFailed",
            verdict,
            metric("retrain_finished_timestamp_seconds", "9x10", f',group="g",verdict="{verdict}"'),
            5,
            verdict != "released",
        )
        for verdict in ("released", "refused", "broken")
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.says}")
def test_an_alert_fires_when_it_should_and_not_otherwise(case: Case, promtool: str, tmp_path: Path) -> None:
    expression = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}})'
    verify(promtool, tmp_path, case.series, case.at, expression, [("{}", 1)] if case.fires else [])


def verify(
    promtool: str, directory: Path, series: dict[str, str], at: int, expression: str, expected: list[tuple[str, float]]
) -> None:
    """Assert what an expression comes to `at` so many minutes by the rules we ship: labels and value of each series."""
    test = {
        "rule_files": list(map(str, FILES)),
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": expression,
                        "eval_time": f"{at}m",
                        "exp_samples": [{"labels": labels, "value": value} for labels, value in expected],
                    }
                ],
            }
        ],
    }
    (directory / "test.yml").write_text(json.dumps(test))  # YAML holds JSON
    run = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=directory, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def of_workers(name: str, values: dict[str, str], labels: str) -> dict[str, str]:
    """Return a series for each of two workers."""
    return {f'cardiosentry_{name}{{{JOB},instance="{each}"{labels}}}': of for each, of in values.items()}


RECORDINGS = {
    "job_topic:cardiosentry_records:rate5m": (
        of_workers("records_total", {"a": "0+600x20", "b": "0+1200x20"}, f',topic="{EVENTS}"')
        | of_workers("records_total", {"a": "0+60x20", "b": "0x20"}, f',topic="{SIGNALS}"'),
        [(f'topic="{EVENTS}"', 30.0), (f'topic="{SIGNALS}"', 1.0)],
    ),
    "job_topic:cardiosentry_lag_records:sum": (
        of_workers("lag_records", {"a": "3x20", "b": "4x20"}, f',topic="{EVENTS}"'),
        [(f'topic="{EVENTS}"', 7.0)],
    ),
    # Of 100 batches a minute 90 take at most 1 ms and all at most 2: the 99th is nine tenths of the way between.
    "job_step:cardiosentry_step_seconds:p99_5m": (
        of_workers("step_seconds_bucket", {"a": "0+50x20", "b": "0+40x20"}, ',step="score",le="0.001"')
        | of_workers("step_seconds_bucket", {"a": "0+50x20", "b": "0+50x20"}, ',step="score",le="0.002"')
        | of_workers("step_seconds_bucket", {"a": "0+50x20", "b": "0+50x20"}, ',step="score",le="+Inf"'),
        [('step="score"', 0.0019)],
    ),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_is_recorded_is_over_all_workers_of_a_job(name: str, promtool: str, tmp_path: Path) -> None:
    series, expected = RECORDINGS[name]
    samples = [(f"{{{JOB},{labels}}}", value) for labels, value in expected]
    # promtool compares values exactly: a sum of floats is rounded, and without its name.
    verify(promtool, tmp_path, series, 10, f"round({name}, 0.0001)", samples)


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    for fires in (True, False):
        assert {case.alert for case in CASES if case.fires is fires} == set(names)


def test_prometheus_takes_the_configuration_and_its_rules(promtool: str) -> None:
    run = subprocess.run(
        [promtool, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml"],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("rule", [*ALERTS, *rules("record")], ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_somebody_writes(rule: dict[str, Any]) -> None:
    assert_written(rule["expr"], RECORDED)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_to_do_and_where_that_is_described(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    said = rule["annotations"]
    assert set(said) == {"summary", "description", "runbook"}
    runbook = (ROOT / said["runbook"]).read_text()
    assert all(part in runbook for part in ("**Means:**", "**Check:**", "**Do:**", "**False positives:**"))
    assert re.fullmatch(r"docs/runbooks/[a-z-]+\.md", said["runbook"])


def test_the_documentation_names_every_metric_and_alert_as_it_is() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "write_metrics.py"))["document"]()
    assert (ROOT / "docs" / "metrics.md").read_text("utf-8") == made, "run: make schemas"
    assert all(f"`{name}`" in made for name in METRICS)
    assert all(f"| {rule['alert']} |" in made for rule in ALERTS)
