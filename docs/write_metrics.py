"""Write docs/metrics.md from the catalogue and the rules: `python docs/write_metrics.py`. A test says if it is old."""

from pathlib import Path
from typing import Any, get_args

import yaml

from contracts.metrics import METRICS, STEPS, Metric, Step

ROOT = Path(__file__).parents[1]

TEXT = """\
# Metrics

What every process tells Prometheus, what alerts make of it, and two dashboards for Grafana. No metric holds a
patient, an event or a source: whoever sends chooses those, and a series of each would be without end. What was seen
of a source stands in alerts ([detection.md](detection.md)).

## Scrape

Each worker is a process with a port of its own: `web_port` (6066), and one more for each after the first. Let each
listen where Prometheus can reach it (`web_host`); the pages hold nothing personal but ask for no password, so keep
them on a network of your own.

| page | says |
|---|---|
| `/metrics` | everything below; counters begin at 0 when the worker starts |
| `/health/live` | 200 while the worker polls, also without a broker; 503 after two minutes of silence: restart it |
| `/health/ready` | 200 while it holds partitions, has a champion and commits; 503 otherwise, and why |

[monitoring/prometheus](../monitoring/prometheus) is a configuration to begin with. It finds the workers in
`workers.yml`, which Prometheus reads again when it changes:

```console
$ cd monitoring/prometheus
$ promtool check config prometheus.yml
$ prometheus --config.file=prometheus.yml
```

Rules and dashboards know workers by a job whose name begins with `cardiosentry`; two systems are two such jobs. Rates
are sums over the workers of a job. What the watching worker alone has is gone from a worker when another one watches:
ask for the `max`, as the dashboards do.

`cardiosentry ship`, `notify`, `console` and `triggers` show theirs at `metrics_port`, which is 0, none, unless set; the
console never on the port of its page, which others may look at.
A retrain is over before anybody could scrape it, so it pushes. Give it a Pushgateway by the setting `pushgateway`
(`cardiosentry retrain --pushgateway localhost:9091`, `cardiosentry triggers` likewise). Runs of one `group` replace
each other there. A gateway that does not answer within five seconds is named on standard error, and the run is as
good without it.

## What it costs

Nothing is counted an event at a time. Counting a batch of 1,000 records and timing its steps takes 15 µs, so 0.015 µs
an event; one answer of `/metrics`, about 300 samples, takes 2.2 ms (`make bench-metrics`, on two cores that others
used too). The lag, and what the watch knows, are worked out when somebody asks.

## Metrics

"""

ALERTS = """
## Alerts

[monitoring/prometheus/rules](../monitoring/prometheus/rules): `critical` gets somebody up, `warning` is for today,
`info` to know. Their limits are plain numbers in that file: set your own. They tell of the system; attacks, drift and
quality are found by the detectors and told on security-alerts and model-alerts, once each. `DriftLasts` and
`QualityLasts` say that what was told there goes on.

docker compose's Prometheus hands them to Alertmanager. With monitoring/prometheus/prometheus.yml nobody is told of them
until you write your Alertmanager there, under `alerting`: the one of [notifications.md](notifications.md) pages
`critical` and tells Slack the rest.

| alert | severity | while | for | do | runbook |
|---|---|---|---|---|---|
"""

DASHBOARDS = """
## Dashboards

In Grafana: *Dashboards, New, Import*, and choose a file of [monitoring/grafana](../monitoring/grafana) and your
Prometheus; or have Grafana read that directory (`provisioning/dashboards`). *Stream at a glance* shows rate, latency,
lag, batches, commits, quarantine, alerts and the processes beside the workers; *Model and drift* which model scores,
its age, how good it is by scores and by outcomes, how far each feature is from the reference, models on trial, and
the last retrain.

They are written by a program (`make schemas`), for Grafana 11 and later. To change one, change it there, or save a
copy in Grafana.
"""


def table(by: str) -> str:
    rows = [f"| `{name}` | {metric.help} | {labels(metric)} |\n" for name, metric in METRICS.items() if metric.by == by]
    return "| metric | is | labels |\n|---|---|---|\n" + "".join(rows)


def labels(metric: Metric) -> str:
    return ", ".join(metric.labels) or ("histogram" if metric.buckets else "")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "monitoring/prometheus/rules/alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def row(rule: dict[str, Any]) -> str:
    said = rule["annotations"]
    runbook = said["runbook"].removeprefix("docs/")
    name = Path(runbook).stem
    return (
        f"| {rule['alert']} | {rule['labels']['severity']} | `{' '.join(rule['expr'].split())}` | {rule['for']} "
        f"| {said['description']} | [{name}]({runbook}) |\n"
    )


def document() -> str:
    return (
        TEXT
        + "Of every worker, beside `process_…` of Prometheus's own client (processor, memory, open files):\n\n"
        + table("worker")
        + "\nThe steps:\n\n"
        + "".join(f"- `{step}`: {STEPS[step]}\n" for step in get_args(Step))
        + "\nOf the worker that watches, over all workers' events:\n\n"
        + table("watching worker")
        + "\nOf `cardiosentry retrain`, on the Pushgateway, with the label `group`:\n\n"
        + table("retrain")
        + "\nOf `cardiosentry ship`, where `metrics_port` is set, beside `process_…`:\n\n"
        + table("ship")
        + "\nOf `cardiosentry notify`, likewise:\n\n"
        + table("notify")
        + "\nOf `cardiosentry console`, likewise:\n\n"
        + table("console")
        + "\nOf `cardiosentry triggers`, likewise:\n\n"
        + table("triggers")
        + ALERTS
        + "".join(map(row, alerts()))
        + DASHBOARDS
    )


if __name__ == "__main__":
    Path(__file__).with_name("metrics.md").write_text(document(), "utf-8")
