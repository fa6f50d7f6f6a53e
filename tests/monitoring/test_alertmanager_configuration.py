"""The configuration that we ship is one that Alertmanager takes, and sends each alert to whom it should."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from stream_app.detectors.rules import load_rules
from tests.conftest import cannot_run
from tests.support.alertmanager import AMTOOL, SHIPPED, AlertmanagerUnavailable, configuration, require

SHIPPED_TEXT = (SHIPPED / "alertmanager.yml").read_text("utf-8")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    try:
        require()
    except AlertmanagerUnavailable as error:
        cannot_run(str(error), "real Alertmanager")
    return configuration(tmp_path, "http://127.0.0.1:1")


def amtool(*arguments: str) -> str:
    done = subprocess.run([AMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_takes_it(config: Path) -> None:
    assert "3 receivers" in amtool("check-config", str(config))


ROUTES = {
    "the watchdog": ({"alertname": "Watchdog", "severity": "none"}, "heartbeat"),
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
