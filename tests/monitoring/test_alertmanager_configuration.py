"""The configuration that we ship is one that Alertmanager takes, and sends each alert to whom it should."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.detectors.rules import load_rules
from tests.conftest import cannot_run
from tests.support.alertmanager import AMTOOL, SHIPPED, AlertmanagerUnavailable, configuration, require

RULES = SHIPPED.parent / "prometheus" / "rules" / "alerts.yml"
PROMETHEUS_ALERTS = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
SHIPPED_TEXT = (SHIPPED / "alertmanager.yml").read_text("utf-8")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    try:
        require()
    except AlertmanagerUnavailable as error:
        cannot_run(str(error), "real Alertmanager")
    return configuration(tmp_path, "http://127.0.0.1:1", own=True)


def amtool(*arguments: str) -> str:
    done = subprocess.run([AMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_takes_it(config: Path) -> None:
    assert "3 receivers" in amtool("check-config", str(config))


ROUTES = {
    "the watchdog": ({"alertname": "Watchdog", "severity": "none", "service": "cardiosentry"}, "heartbeat"),
    # It would keep up the heartbeat of one that is dead.
    "another system's watchdog": ({"alertname": "Watchdog", "severity": "none", "service": "st-mary"}, "slack"),
    "Prometheus' critical": ({"alertname": "NoWorkerUp", "severity": "critical"}, "on-call"),
    "Prometheus' warning": ({"alertname": "LagGrows", "severity": "warning"}, "slack"),
    "critical": ({"alertname": "no-champion", "severity": "critical"}, "on-call"),
    "high": ({"alertname": "forged-records", "severity": "high"}, "on-call"),
    "medium": ({"alertname": "event-flood", "severity": "medium"}, "slack"),
    "low": ({"alertname": "other", "severity": "low"}, "slack"),
    "another system's, without severity": ({"alertname": "disk-full"}, "slack"),
}


@pytest.mark.parametrize("name", ROUTES)
def test_an_alert_goes_to(config: Path, name: str) -> None:
    labels, receiver = ROUTES[name]
    given = [f"{label}={value}" for label, value in labels.items()]
    said = amtool("config", "routes", "test", f"--config.file={config}", "--verify.receivers", receiver, *given)
    assert said.split()[0] == receiver


def page(directory: Path, labels: dict[str, str], annotations: dict[str, str], status: str = "firing") -> str:
    """Return title, text and link of the page about one alert, as the shipped templates write it."""
    data = {
        "status": status,
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": "2026-09-21T14:13:15Z",
                "generatorURL": "https://host/1",
            }
        ],
        "commonLabels": labels,
        "commonAnnotations": annotations,
    }
    (directory / "data.json").write_text(json.dumps(data), "utf-8")
    parts = (f'{{{{ template "cardiosentry.{part}" . }}}}' for part in ("title", "text", "link"))
    return amtool(
        *("template", "render", f"--template.glob={SHIPPED / 'cardiosentry.tmpl'}"),
        *(f"--template.text={'|'.join(parts)}", f"--template.data={directory / 'data.json'}"),
    )


def test_a_page_says_what_is_wrong_where_since_when_and_what_to_do(config: Path) -> None:
    labels = {"alertname": "forged-records", "severity": "high", "service": "st-mary", "technique": "AML.T0073"}
    said = {"summary": "12 forged", "do": "Rotate the key.", "runbook": "docs/x.md", "event_id": "7f", "count": "3"}
    assert page(config.parent, labels, said).splitlines() == [
        "[high] forged-records of st-mary|12 forged (since 2026-09-21 14:13 UTC, told 3 times)",
        "Do: Rotate the key.",
        "docs/x.md",
        "MITRE ATLAS AML.T0073",
        "alert 7f|https://host/1",
    ]
    assert page(config.parent, labels, said, "resolved").startswith("[over] forged-records of st-mary|")
    assert "Do:" not in page(config.parent, labels, said, "resolved")


@pytest.mark.parametrize("rule", PROMETHEUS_ALERTS, ids=lambda rule: rule["alert"])
def test_a_page_of_prometheus_own_alerts_says_the_same_without_what_they_have_not(
    rule: dict[str, Any], config: Path
) -> None:
    labels = {"alertname": rule["alert"], "job": "cardiosentry", **rule["labels"]}
    said = rule["annotations"]
    assert page(config.parent, labels, said).splitlines() == [
        f"[{labels['severity']}] {rule['alert']} of cardiosentry|{said['summary']} (since 2026-09-21 14:13 UTC)",
        f"Do: {said['description']}",
        said["runbook"],
        "|https://host/1",
    ]


def test_no_secret_stands_in_it() -> None:
    assert (
        re.findall(r"^\s*-?\s*(?:api_url|bot_token|routing_key|service_key|url|\w*password): .*", SHIPPED_TEXT, re.M)
        == []
    )
    assert len(re.findall(r"_file: /etc/alertmanager/secrets/", SHIPPED_TEXT)) == 4


def test_what_is_kept_quiet_is_a_rule_of_ours_and_never_graver_than_what_keeps_it_quiet() -> None:
    severity = {rule.id: rule.severity for rule in load_rules().all} | {"no-champion": "critical"}
    grave = ["low", "medium", "high", "critical"]
    pairs = re.findall(r'source_matchers: \[alertname = "([a-z-]+)"\].*?alertname =~? "([a-z|-]+)"', SHIPPED_TEXT, re.S)
    assert len(pairs) == 2
    for source, targets in pairs:
        for target in targets.split("|"):
            assert grave.index(severity[target]) <= grave.index(severity[source])


def test_what_keeps_quiet_is_about_the_same_source_or_model_and_nothing_about_the_whole_system() -> None:
    """One worker without a champion says nothing of the beds whose events the others score."""
    for each in yaml.safe_load(SHIPPED_TEXT)["inhibit_rules"]:
        assert {"source", "model"} & set(each["equal"])
