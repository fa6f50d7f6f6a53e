"""An incident from its first alert to its end, by the commands of whoever is on duty, on a real Kafka."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import cardiosentry
from contracts.topics import INCIDENT_ACTS
from tests.integration.stream import Patients, Stream
from tests.support.broker import Broker
from tests.support.reading import read_topic
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

TOLD_S = 60.0


class Duty:
    """A system under attack, and the commands."""

    def __init__(self, kafka: Broker, site: Site, directory: Path) -> None:
        self.bootstrap, self.prefix = kafka.bootstrap, kafka.topics("duty")
        own = Site(site.bundle, site.keys, directory / "store")
        self.stream, self.patients = Stream(kafka, self.prefix), Patients(own, seed=6)
        self.serving = Serving(own, kafka.bootstrap, self.prefix, directory / "log")
        self._options = ("--bootstrap", kafka.bootstrap, "--topic-prefix", self.prefix, "--keys", str(own.keys))

    def run(self, *arguments: str) -> Result:
        group = arguments[0] if arguments[0] == "contain" else "incidents"
        return CliRunner().invoke(cardiosentry, [group, *arguments[group == "contain" :], *self._options])

    def said(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.stdout

    def incidents(self, *arguments: str) -> list[dict[str, str]]:
        lines = self.said("list", "--json", *arguments).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.fixture
def duty(kafka: Broker, site: Site, tmp_path: Path) -> Iterator[Duty]:
    found = Duty(kafka, site, tmp_path)
    with found.serving:
        found.serving.start().wait_until_ready()
        yield found


class Texts(HTMLParser):
    """The text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_forged_records_become_an_incident_that_is_worked_on_and_closed(duty: Duty, tmp_path: Path) -> None:
    assert duty.incidents("--all") == []
    duty.stream.produce(duty.patients.unsigned(300))
    wait_for(lambda: bool(duty.incidents()), TOLD_S, duty.serving.text)
    (incident,) = duty.incidents()
    assert (incident["rule"], incident["state"]) == ("forged-records", "open")
    id = incident["id"]
    shown = duty.said("show", id[:6])
    assert "AML." in shown
    assert "keyring" in shown  # its runbook

    assert duty.said("acknowledge", id) == f"incident {id}: acknowledged\n"
    duty.said("assign", id, "--to", "Bob", "--note", "<b>look at the gateway</b>")
    refused = duty.run("reopen", id)
    assert isinstance(refused.exception, Exception)
    assert "expected one of assign, note, close while it is acknowledged, got reopen" in str(refused.exception)
    duty.said("contain", "block", "synthetic/hungary", "--reason", "it is not ours")
    duty.said("close", id, "--verdict", "true-positive", "--note", "access taken away")
    assert duty.incidents() == []
    (closed,) = duty.incidents("--all")
    assert (closed["state"], closed["assigned to"]) == ("closed: true-positive", "Bob")
    assert closed["goes on"] == "no"

    timeline = [json.loads(line) for line in duty.said("timeline", id, "--json").splitlines()]
    whats = [moment["what"] for moment in timeline]
    assert whats[-4:] == ["acknowledge", "assign", "containment", "close"]
    assert "alert" in whats
    assert all(moment["by"] for moment in timeline[-4:])

    duty.said("export", id, str(tmp_path / "incident.json"))
    whole = json.loads((tmp_path / "incident.json").read_text())
    assert [each["act"] for each in whole["acts"]] == ["acknowledge", "assign", "close"]
    assert whole["alerts"][0]["rule"]["id"] == "forged-records"
    duty.said("export", id, str(tmp_path / "incident.html"))
    page = (tmp_path / "incident.html").read_text()
    assert "<b>look" not in page
    assert "<strong>" in page.partition("Runbook")[2]
    assert "**" not in page
    assert any("<b>look at the gateway</b>" in text for text in Texts(page).found)
    acts = read_topic(duty.bootstrap, duty.prefix + INCIDENT_ACTS.name, timeout_s=30)
    assert {act.key for act in acts} == {id.encode()}
