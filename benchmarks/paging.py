"""From the record of an alert to the call that pages: `python -m benchmarks.paging`.

A real Kafka, `cardiosentry notify`, a real Alertmanager with the times that we ship. Each alert is of a rule of its
own, so that each is a page of its own; the time is from the write until the receiver is called.
"""

import tempfile
import time
from pathlib import Path

import click

from contracts.alerts import Alert, Rule, Severity, alert
from tests.support.alertmanager import AlertmanagerServer
from tests.support.broker import Broker
from tests.support.kafka import KafkaServer
from tests.support.notifying import Notifying, write_alerts
from tests.support.waiting import wait_for

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium")


@click.command
@click.option("--alerts", default=30, show_default=True, help="Of each severity.")
def main(alerts: int) -> None:
    """Measure the time from alert to page."""
    with KafkaServer() as kafka, AlertmanagerServer(short=False) as pager, tempfile.TemporaryDirectory() as directory:
        prefix = Broker(kafka.bootstrap, real=True).topics("paging")
        with Notifying(kafka.bootstrap, prefix, pager.url, Path(directory) / "log") as notifying:
            wait_for(lambda: "assigned" in notifying.text(), 60, notifying.text)
            written: dict[str, float] = {}
            for number in range(alerts):
                for severity in SEVERITIES:
                    name = f"{severity}-{number}"
                    written[name] = time.time()
                    write_alerts(kafka.bootstrap, prefix, [_made(name, severity)])
                    time.sleep(0.05)  # arrivals that do not wait for each other

            def paged() -> dict[str, float]:
                calls = [call for call in list(pager.recorder.calls) if call.path.startswith("/webhook")]
                return {call.body["commonLabels"]["alertname"]: call.at_s for call in reversed(calls)}

            wait_for(lambda: paged().keys() >= written.keys(), 120, notifying.text)
    for severity in SEVERITIES:
        took = sorted(at - written[name] for name, at in paged().items() if name.startswith(f"{severity}-"))
        click.echo(f"{severity}: half within {took[len(took) // 2]:.2f} s, all {len(took)} within {took[-1]:.2f} s")


def _made(name: str, severity: Severity) -> Alert:
    rule = Rule(name, name, "1", "docs/runbooks/drift.md")
    at_ms = time.time_ns() // 1_000_000
    return alert(rule, name, at_ms=at_ms, dataset="security", severity=severity, labels={"source": "icu"})


if __name__ == "__main__":
    main()
