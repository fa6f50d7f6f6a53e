"""The shipper on a real Kafka and Elasticsearch: every record once, whatever dies; what cannot be stands aside."""

import json
import logging
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from cryptography.hazmat.primitives.asymmetric import ec
from elasticsearch import BadRequestError

from contracts.alerts import Rule, alert
from contracts.codec import encode
from contracts.incidents import IncidentAct
from contracts.topics import (
    INCIDENT_ACTS,
    MODEL_ALERTS,
    PREDICTIONS,
    QUARANTINE,
    RELEASES,
    SECURITY_ALERTS,
    SHIP_REJECTS,
)
from models.acts import sign_act
from models.keyfile import KeyFile
from models.sign import PRIVATE_KEY_FILE
from monitoring.elastic.mappings import fields
from monitoring.elastic.streams import PREDICTION_STREAM, STREAMS
from stream_app.logs import EcsFormatter
from tests.chaos.shipping import chaos
from tests.support.broker import Broker
from tests.support.elastic import ElasticServer
from tests.support.ports import free_ports
from tests.support.process import run_command
from tests.support.reading import read_topic
from tests.support.serving import get
from tests.support.shipping import Shipped, Shipping, check_once, prediction, predictions, publish
from tests.support.site import Site, release
from tests.support.waiting import wait_for

MIDNIGHT_MS = time.time_ns() // 1_000_000 // 86_400_000 * 86_400_000
DIGEST = "sha256:" + "a" * 64


class System:
    """One system's topics, indices and shipper."""

    def __init__(self, kafka: Broker, elastic: ElasticServer, site: Site, directory: Path) -> None:
        self.kafka, self.elastic, self.site, self._directory = kafka, elastic, site, directory
        self.prefix = kafka.topics("ship")
        self.shipped = Shipped(elastic.address, self.prefix).set_up()

    def shipping(self, name: str = "ship", **env: str) -> Shipping:
        log = self._directory / f"{name}.log"
        return Shipping(self.kafka.bootstrap, self.prefix, self.elastic.address, self.site.keys, log, **env)

    def publish(self, topic: str, *records: tuple[bytes, int]) -> None:
        publish(self.kafka.bootstrap, self.prefix + topic, records)


@pytest.fixture
def system(kafka: Broker, elastic: ElasticServer, site: Site, tmp_path: Path) -> System:
    return System(kafka, elastic, site, tmp_path)


def test_every_record_is_there_once_when_the_shipper_and_elasticsearch_are_killed(
    kafka: Broker, elastic: ElasticServer, site: Site, tmp_path: Path
) -> None:
    """Over a day's change; the long form is `make chaos-ship`."""
    shipping = chaos(6000, ("ship", "elastic"), kafka, elastic, site.keys, tmp_path / "log")
    assert "elasticsearch waits" in shipping.text()


def test_a_shipper_goes_on_at_its_last_commit(system: System) -> None:
    sent = predictions(500, MIDNIGHT_MS, MIDNIGHT_MS + 1000)
    system.publish(PREDICTIONS.name, *sent[:-1])
    with system.shipping() as shipping:
        system.shipped.wait_for("predictions", len(sent) - 1, shipping)
        assert shipping.stop() == 0
        system.publish(PREDICTIONS.name, sent[-1])
        shipping.start()
        system.shipped.wait_for("predictions", len(sent), shipping)
        assert shipping.stop() == 0
    assert "shipped records=1 rejected=0" in shipping.text().splitlines()[-1]


def test_an_index_that_no_template_made_is_told(system: System) -> None:
    elastic, name = system.shipped.client, system.shipped.names.of(PREDICTION_STREAM)
    elastic.indices.delete_index_template(name=name)
    system.publish(PREDICTIONS.name, *predictions(10, MIDNIGHT_MS, MIDNIGHT_MS + 1000))
    with system.shipping() as shipping:
        system.shipped.wait_for("predictions", 10, shipping)
        assert shipping.stop() == 0
        assert shipping.start().wait(60) == 1
    assert f"expected of {name}-" in shipping.text()
    assert "its fields are guessed" in shipping.text()


def test_two_shippers_at_once_ship_every_record_once(system: System) -> None:
    sent = predictions(4000, MIDNIGHT_MS, MIDNIGHT_MS + 1000)
    system.publish(PREDICTIONS.name, *sent[:2000])
    with system.shipping("first") as first:
        wait_for(lambda: "assigned lane=records" in first.text(), 30, first.text)
        with system.shipping("second") as second:
            system.publish(PREDICTIONS.name, *sent[2000:])
            system.shipped.wait_for("predictions", len(sent), first)
            wait_for(lambda: "assigned lane=records" in second.text(), 30, second.text)
            assert second.stop() == 0
        assert first.stop() == 0
    check_once(system.shipped, sent)


def test_what_cannot_be_shipped_stands_aside_and_costs_the_others_nothing(system: System) -> None:
    good = predictions(100, MIDNIGHT_MS, MIDNIGHT_MS + 1000)
    too_large = encode(prediction(1, MIDNIGHT_MS)).replace(b'"missing":1', b'"missing":%d' % 2**63)
    secret = encode({"event_id": "Jane Doe"})
    system.publish(PREDICTIONS.name, *good[:50], (too_large, MIDNIGHT_MS), (secret, MIDNIGHT_MS), *good[50:])
    with system.shipping() as shipping:
        system.shipped.wait_for("predictions", 100, shipping)
        rejects = read_topic(system.kafka.bootstrap, system.prefix + SHIP_REJECTS.name, 2)
        assert shipping.stop() == 0
    check_once(system.shipped, good)

    found = {r.headers[0][1].decode(): {name: value.decode() for name, value in r.headers} for r in rejects}
    assert found["refused"]["cs-detail"] == "document_parsing_exception at cardiosentry.missing"
    assert found["refused"]["cs-size"] == str(len(too_large))
    assert found["undecodable"]["cs-detail"] == "object missing required field `patient_id`"
    assert all(r.value is None and r.key is None for r in rejects)
    assert "Jane" not in shipping.text()


def test_each_kind_of_record_comes_to_its_own_index(system: System) -> None:
    at_ms = MIDNIGHT_MS
    rule = Rule("drift", "Drift", "1", "https://example.org/drift")
    labels = {"statistic": "age", "worker": "host-0", "a.b": "1"}
    told = encode(alert(rule, "unlike", at_ms=at_ms, dataset="model", severity="high", labels=labels))
    system.publish(MODEL_ALERTS.name, (told, at_ms))
    attack = ("AML.T0091", "Replay")
    system.publish(
        SECURITY_ALERTS.name,
        (encode(alert(rule, "forged", at_ms=at_ms, dataset="security", severity="low", technique=attack)), at_ms),
    )
    headers = {"cs-reason": "schema", "cs-origin": "patient-events/3/7", "cs-digest": DIGEST, "cs-detail": "text"}
    producer = Producer({"bootstrap.servers": system.kafka.bootstrap})
    producer.produce(
        system.prefix + QUARANTINE.name,
        b"sealed bytes",
        headers=[(name, value.encode()) for name, value in headers.items()],
        timestamp=at_ms,
    )
    assert producer.flush(30) == 0
    release(system.site, system.kafka.bootstrap, system.prefix)
    system.publish(RELEASES.name, (b'{"payload": "Jane Doe"}', at_ms))
    done = IncidentAct(incident="0" * 12, act="close", verdict="benign", note="a drill", created_at=at_ms)
    known = KeyFile.load(system.site.keys / PRIVATE_KEY_FILE)
    for key in (known, KeyFile(ec.generate_private_key(ec.SECP256R1()))):
        system.publish(INCIDENT_ACTS.name, (sign_act(done, key), at_ms))

    (port,) = free_ports(1)

    def metrics() -> str:
        return get(f"http://127.0.0.1:{port}/metrics")[1]

    with system.shipping(CARDIOSENTRY_METRICS_PORT=str(port)) as shipping:
        counts = {"model-alerts": 1, "security-alerts": 1, "quarantine": 1, "audit": 3, "incident-acts": 2}
        for stream, count in counts.items():
            system.shipped.wait_for(stream, count, shipping)
        wait_for(lambda: 'cardiosentry_ship_records_total{lane="alerts"} 2.0' in metrics(), 30, metrics)
        wait_for(lambda: 'cardiosentry_ship_lag_records{lane="audit"} 0.0' in metrics(), 30, metrics)
        assert 'cardiosentry_ship_rejected_total{lane="records"} 0.0' in metrics()
        assert shipping.stop() == 0
        trail = system.shipped.documents("audit")
        shipping.start()  # the audit trail is read from its beginning each time, which changes nothing
        wait_for(lambda: shipping.text().count("assigned lane=audit") == 2, 30, shipping.text)
        system.publish(MODEL_ALERTS.name, (told, at_ms))
        system.shipped.wait_for("model-alerts", 2, shipping)
        assert shipping.stop() == 0
    assert {hit["_id"] for hit in system.shipped.documents("audit")} == {hit["_id"] for hit in trail}

    acts = [hit["_source"] for hit in system.shipped.documents("incident-acts")]
    (closed,) = (act for act in acts if act["cardiosentry"]["verified"])
    assert (closed["event"]["action"], closed["event"]["reason"]) == ("close", "a drill")
    assert closed["cardiosentry"]["verdict"] == "benign"
    assert closed["user"]["name"]

    (model, _) = system.shipped.documents("model-alerts")
    assert model["_source"] == json.loads(told)
    (kept,) = system.shipped.documents("quarantine")
    assert kept["_source"]["cardiosentry"] == {"reason": "schema", "origin": "patient-events/3/7", "digest": DIGEST}
    day = time.strftime("%Y.%m.%d", time.gmtime(at_ms / 1000))
    assert kept["_index"] == f"{system.prefix}cardiosentry-quarantine-{day}"
    about = {hit["_source"]["event"]["action"]: hit["_source"] for hit in trail}
    assert about["step"]["cardiosentry"]["stage"] == "stored"
    assert len(about["release"]["user"]["name"]) == 1
    assert about["release"]["event"]["reason"] == "a test"
    assert about["release"]["cardiosentry"]["verified"] is True
    assert about["refused"]["cardiosentry"]["verified"] is False
    assert "Jane" not in json.dumps(about["refused"])


def ship(system: System, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `cardiosentry ship …` to its end."""
    options = ["--elastic", system.elastic.address, "--topic-prefix", system.prefix]
    return run_command("ship", *arguments, *options, env=environ)


def test_a_log_that_grows_is_shipped_line_by_line_once(system: System, tmp_path: Path) -> None:
    formatter, log = EcsFormatter("slot=0"), tmp_path / "serve.log"
    lines = []
    for number in range(3):
        record = logging.LogRecord("cardiosentry", logging.INFO, "", 0, "commit records=%d", (number,), None)
        lines.append(formatter.format(record))
    log.write_text("\n".join([*lines[:2], "a line of text"]) + "\n")
    first = ship(system, "logs", str(log))
    with log.open("a") as file:
        file.write(lines[2] + "\n")
    second = ship(system, "logs", str(log))

    assert (first.returncode, first.stdout) == (0, "shipped 2 lines\n"), first.stderr
    assert first.stderr == "left out 1 lines that are not of a log in ECS JSON\n"
    assert second.returncode == 0, second.stderr
    assert sorted(hit["_source"]["message"] for hit in system.shipped.documents("logs")) == [
        *("commit records=0", "commit records=1", "commit records=2")
    ]


def test_each_check_of_a_run_is_shipped_once(system: System, tmp_path: Path) -> None:
    checks = [
        {"name": "recall", "verdict": "pass", "found": "0.93", "limit": "0.9", "findings": []},
        {"name": "leaks", "verdict": "fail", "found": "2", "limit": "none", "findings": [{"id": "a"}, {"id": "b"}]},
    ]
    step = {"report": {"step": "gate-2", "checks": checks}, "finished": "2026-11-22T10:00:00Z", "seconds": 1.0}
    account = {"run": {"id": "20261122T1000"}, "verdict": "gate-2 said no", "steps": {"gate-2": step}}
    report = tmp_path / "runs" / "20261122T1000" / "report.json"
    report.parent.mkdir(parents=True)
    before = ship(system, "gates", str(tmp_path / "runs"))  # as a timer does, whatever there is
    assert (before.returncode, before.stdout) == (0, "shipped 0 checks\n"), before.stderr
    assert "no run in it has ended yet" in before.stderr
    report.write_text(json.dumps(account))
    for _ in range(2):
        run = ship(system, "gates", str(tmp_path / "runs"))
        assert (run.returncode, run.stdout) == (0, "shipped 3 checks\n"), run.stderr

    found = {hit["_source"]["cardiosentry"]["check"]: hit for hit in system.shipped.documents("gates")}
    assert found["leaks"]["_source"]["event"]["outcome"] == "failure"
    assert found["leaks"]["_source"]["cardiosentry"]["findings"] == 2
    assert found["verdict"]["_source"]["cardiosentry"]["found"] == "gate-2 said no"
    assert {hit["_index"] for hit in found.values()} == {f"{system.prefix}cardiosentry-gates-2026.11.22"}


def test_a_server_without_ilm_is_set_up_only_where_that_is_asked_for(system: System) -> None:
    refused = ship(system, "--setup")
    done = ship(system, "--setup", "--without-ilm")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: Elasticsearch: expected index lifecycle management")
    assert done.returncode == 0, done.stderr
    assert {line.rpartition(": ")[2] for line in done.stdout.splitlines()} == {"as before"}


def test_nothing_is_shipped_before_the_setup(system: System) -> None:
    system.shipped.client.indices.delete(index=system.shipped.names.setup)
    with system.shipping() as shipping:
        assert shipping.process
        assert shipping.process.wait(60) == 1
    assert "run `cardiosentry ship --setup`" in shipping.text()


def test_a_shipper_that_can_no_longer_say_that_it_lives_ends(system: System, tmp_path: Path) -> None:
    (alive := tmp_path / "alive").mkdir()
    with system.shipping(CARDIOSENTRY_BEAT=str(alive / "beat")) as shipping:
        wait_for(lambda: "assigned lane=audit" in shipping.text(), 30, shipping.text)
        shutil.rmtree(alive)
        assert shipping.process
        assert shipping.process.wait(30) == 1
    assert "setting beat: expected a file that can be written" in shipping.text()


def test_a_document_that_does_not_fit_is_refused_by_the_mapping_of_every_index(system: System) -> None:
    client, names = system.shipped.client, system.shipped.names
    for stream in STREAMS:
        with pytest.raises(BadRequestError, match="strict_dynamic_mapping_exception"):
            client.create(index=names.index(stream, MIDNIGHT_MS), id="1", document={"patient_name": "Jane"})
        made = client.indices.get_mapping(index=names.index(stream, MIDNIGHT_MS))
        (kept,) = [index["mappings"] for index in made.body.values()]
        assert flat(kept["properties"]) == fields(stream.document)


def flat(properties: dict[str, Any], path: str = "") -> dict[str, str]:
    found = {}
    for name, each in properties.items():
        if "properties" in each:
            found.update(flat(each["properties"], f"{path}{name}."))
        else:
            found[path + name] = each.get("type", "object")
    return found
