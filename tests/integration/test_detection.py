"""An attack on a running system comes to one alert, whichever worker watches and whatever dies meanwhile."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.topics import SECURITY_ALERTS
from producers.sign import Signer
from tests.integration.stream import Patients, Stream
from tests.support.broker import Broker
from tests.support.reading import read_topic
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

TOLD_WITHIN_S = 20.0
"""An alert is there a second after the event that raised it, on an idle machine."""


class Watched:
    """Two workers over fresh topics, and what they alert of."""

    def __init__(self, kafka: Broker, site: Site, directory: Path) -> None:
        self.site = site
        self.prefix = kafka.topics("watched")
        self.stream = Stream(kafka, self.prefix)
        self.bootstrap = kafka.bootstrap
        self.patients = Patients(site, seed=14)
        self.serving = Serving(site, kafka.bootstrap, self.prefix, directory / "log", workers=2)

    def alerts(self) -> list[dict[str, Any]]:
        records = read_topic(self.bootstrap, self.prefix + SECURITY_ALERTS.name, timeout_s=30)
        return [json.loads(record.value or b"") for record in records]

    def wait_for_alert(self, rule: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [alert for alert in self.alerts() if alert["rule"]["id"] == rule]

        wait_for(lambda: bool(found()), TOLD_WITHIN_S, self.serving.text)
        return found()[0]


@pytest.fixture
def watched(kafka: Broker, site: Site, tmp_path: Path) -> Iterator[Watched]:
    found = Watched(kafka, site, tmp_path)
    with found.serving:
        found.serving.start().wait_until_ready(workers=2)
        yield found
        assert "Traceback" not in found.serving.text()


def test_a_replay_is_told_once_with_what_a_reviewer_needs_though_the_watching_worker_dies(watched: Watched) -> None:
    events = watched.patients.events(100)
    watched.stream.produce(events)
    watched.stream.outputs(explain=watched.serving.text)
    source = events[0].source
    recorded = [event for event in events if event.source == source]
    while len(recorded) < 12:
        recorded += recorded
    watched.stream.produce(recorded[:12])  # below what the rule wants
    watched.stream.wait_until_worked_off(explain=watched.serving.text)
    assert watched.alerts() == []
    before = {worker.pid for worker in watched.serving.workers()}
    for worker in watched.serving.workers():
        worker.kill()
    wait_for(lambda: len({w.pid for w in watched.serving.workers()} - before) == 2, 30, watched.serving.text)
    for _ in range(4):  # a minute's turn may lie between two of them
        watched.stream.produce(recorded[:12])
    alert = watched.wait_for_alert("replayed-events")
    assert alert["labels"]["source"] == source
    assert int(alert["labels"]["seen"]) >= 20
    assert set(alert["labels"]["samples"].split()) <= {event.event_id for event in recorded}
    assert alert["event"]["start"] <= alert["event"]["end"] == alert["@timestamp"]
    watched.stream.wait_until_worked_off(explain=watched.serving.text)
    time.sleep(1.0)
    assert [found["rule"]["id"] for found in watched.alerts()] == ["replayed-events"]


def test_forged_records_and_raw_identifiers_are_told_and_no_patient_is_named(watched: Watched, site: Site) -> None:
    good = watched.patients.events(60)
    signer = Signer(site.keyring)
    forged = []
    for event in good[:20]:
        value = (event.value or b"").replace(b'"sex"', b'"sex" ')
        headers = signer.headers(event.source, event.key, event.value)
        forged.append(msgspec.structs.replace(event, value=value, headers=headers))
    named = []
    for event in good[20:25]:
        value = (event.value or b"").replace(event.key or b"", b"Jane-Doe-1961")
        named.append(
            msgspec.structs.replace(
                event,
                key=b"Jane-Doe-1961",
                value=value,
                headers=signer.headers(event.source, b"Jane-Doe-1961", value),
            )
        )
    watched.stream.produce([*good[25:], *forged, *named])
    alerts = [watched.wait_for_alert("forged-records"), watched.wait_for_alert("raw-identifiers")]
    assert all(origin.startswith(watched.prefix) for alert in alerts for origin in alert["labels"]["samples"].split())
    assert alerts[0]["threat"]["technique"]["id"] == ["AML.T0073"]
    assert "Jane" not in json.dumps(watched.alerts())
    assert "Jane" not in watched.serving.text()
    assert sorted(watched.stream.outputs(explain=watched.serving.text).event_ids) == sorted(
        event.event_id for event in good[25:]
    )
