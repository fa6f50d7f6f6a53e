"""A system with a history, shipped to Elasticsearch: a worker under attack, and hours of what else there may be."""

import json
import random
import time
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner

from cli.main import cardiosentry
from contracts.alerts import Alert, Rule, Severity, alert
from contracts.codec import encode
from contracts.incidents import IncidentAct
from contracts.topics import INCIDENT_ACTS, MODEL_ALERTS, PREDICTIONS, QUARANTINE, RELEASES, SECURITY_ALERTS
from models.acts import sign_act
from models.keyfile import KeyFile
from models.sign import PRIVATE_KEY_FILE
from monitoring.kibana.package import DETECTION_RULES, packaged
from producers.sign import Signer
from tests.integration.stream import Patients, Stream
from tests.support.broker import Broker
from tests.support.elastic import ElasticServer
from tests.support.kibana import Bounds
from tests.support.reading import Record, read_topic
from tests.support.serving import Serving
from tests.support.shipping import Shipped, Shipping, prediction, publish
from tests.support.site import Site
from tests.support.waiting import wait_for

HISTORY_MS = 6 * 3_600_000
_MODEL_RULES = ("drift", "quality")
_STREAMS = {
    "predictions": PREDICTIONS,
    "security-alerts": SECURITY_ALERTS,
    "model-alerts": MODEL_ALERTS,
    "quarantine": QUARANTINE,
    "audit": RELEASES,
    "incident-acts": INCIDENT_ACTS,
}
_SOURCES = ("st-mary/icu", "st-mary/cardiology", "north/ward-3", "north/emergency", "*")


class Incidents:
    """The system under `prefix`, all of it shipped; `bounds` is the time of it."""

    def __init__(self, kafka: Broker, elastic: ElasticServer, site: Site, directory: Path) -> None:
        self.prefix = kafka.topics("kibana")
        self._bootstrap = kafka.bootstrap
        self.now_ms = time.time_ns() // 1_000_000
        self._attack(kafka, site, directory)
        self._remember()
        self._act(KeyFile.load(site.keys / PRIVATE_KEY_FILE))
        self._contain(site)
        self.shipped = Shipped(elastic.address, self.prefix).set_up()
        with Shipping(kafka.bootstrap, self.prefix, elastic.address, site.keys, directory / "ship") as shipping:
            for stream in _STREAMS:
                self.shipped.wait_for(stream, len(self.records(stream)), shipping)
        self.bounds = Bounds(self.now_ms - HISTORY_MS, time.time_ns() // 1_000_000 + 60_000)

    def records(self, stream: str) -> list[Record]:
        """Return what Kafka has of a stream."""
        return read_topic(self._bootstrap, self.prefix + _STREAMS[stream].name)

    def alerts(self, stream: str | None = None) -> list[dict[str, Any]]:
        """Return the alerts in Kafka, of both topics or one."""
        streams = [stream] if stream else ["security-alerts", "model-alerts"]
        return [json.loads(record.value or b"") for each in streams for record in self.records(each)]

    def _attack(self, kafka: Broker, site: Site, directory: Path) -> None:
        """Have a worker score patients while somebody forges records and names patients; wait until it is told."""
        stream, patients = Stream(kafka, self.prefix), Patients(site, seed=14)
        good, signer = patients.events(120), Signer(site.keyring)
        forged = [msgspec.structs.replace(each, value=(each.value or b"") + b" ") for each in good[:20]]
        named = []
        for event in good[20:25]:
            value = (event.value or b"").replace(event.key or b"", b"Jane-Doe-1961")
            headers = signer.headers(event.source, b"Jane-Doe-1961", value)
            named.append(msgspec.structs.replace(event, key=b"Jane-Doe-1961", value=value, headers=headers))
        serving = Serving(site, kafka.bootstrap, self.prefix, directory / "serve")
        with serving.start().wait_until_ready():
            stream.produce([*good[25:], *forged, *named])
            stream.wait_until_worked_off(explain=serving.text)
            publish(kafka.bootstrap, self.prefix + RELEASES.name, [(b'{"payload": "junk"}', self.now_ms)])
            wanted = {"forged-records", "raw-identifiers", "release-refused"}
            wait_for(
                lambda: wanted <= {each["rule"]["id"] for each in self.alerts("security-alerts")}, 30, serving.text
            )

    def _act(self, key: KeyFile) -> None:
        """Have somebody acknowledge an incident, and close it an hour later."""
        for act, verdict, ago_ms in (("acknowledge", None, 2), ("close", "true-positive", 1)):
            at_ms = self.now_ms - ago_ms * 3_600_000
            done = msgspec.convert(
                {"incident": "0" * 12, "act": act, "verdict": verdict, "created_at": at_ms}, IncidentAct
            )
            publish(self._bootstrap, self.prefix + INCIDENT_ACTS.name, [(sign_act(done, key), at_ms)])

    def _contain(self, site: Site) -> None:
        """Block a source as whoever is on duty does."""
        about = ("--bootstrap", self._bootstrap, "--topic-prefix", self.prefix, "--keys", str(site.keys))
        done = CliRunner().invoke(
            cardiosentry, ["contain", "block", "synthetic/hungary", "--reason", "it repeats itself", *about]
        )
        assert done.exit_code == 0, done.output

    def _remember(self) -> None:
        """Write hours of alerts of every rule, some of which say that it is over, and of predictions."""
        chance = random.Random(14)
        made: dict[str, list[tuple[bytes, int]]] = {SECURITY_ALERTS.name: [], MODEL_ALERTS.name: []}
        for rule in packaged(DETECTION_RULES):
            id = rule["rule_id"].removeprefix("cardiosentry-")
            for _ in range(chance.choice((1, 1, 2, 5))):
                at_ms = self.now_ms - chance.randrange(60_000, HISTORY_MS - 60_000)
                topic = MODEL_ALERTS.name if id in _MODEL_RULES else SECURITY_ALERTS.name
                made[topic].append((encode(_told(rule, id, at_ms, chance)), at_ms))
        at_ms = self.now_ms - 60_000
        silence = Rule("source-silence", "A source that fell silent", "1", "docs/runbooks/source-silence.md")
        over = alert(silence, "it sends again", at_ms=at_ms, dataset="security", severity="medium", ended=True)
        made[SECURITY_ALERTS.name].append((encode(over), at_ms))
        for topic, records in made.items():
            publish(self._bootstrap, self.prefix + topic, records)
        publish(self._bootstrap, self.prefix + PREDICTIONS.name, _predictions(self.now_ms, chance))


def _told(rule: dict[str, Any], id: str, at_ms: int, chance: random.Random) -> Alert:
    """Return an alert as a rule of Elastic Security says that its alerts are."""
    severity: Severity = rule["severity"]
    technique = None
    if rule["threat"]:
        mapped = rule["threat"][0]["technique"][0]
        (found,) = mapped.get("subtechnique", [mapped])
        technique = (found["id"], found["name"])
    model = id in _MODEL_RULES
    labels = (
        {"statistic": chance.choice(("age", "cholesterol", "score", "calibration")), "model": "sha256:" + "0" * 64}
        if model
        else {}
        if id.startswith(("release", "no-champion", "shadow"))
        else {"source": chance.choice(_SOURCES)}
    )
    made = Rule(id, rule["name"].removeprefix("CardioSentry: "), "1", f"docs/runbooks/{id}.md")
    return alert(
        made,
        made.name,
        at_ms=at_ms,
        dataset="model" if model else "security",
        severity=severity,
        technique=technique,
        labels=labels,
    )


def _predictions(now_ms: int, chance: random.Random) -> list[tuple[bytes, int]]:
    """Return six hours of predictions, the last two by another model, whose patients are more ill."""
    made = []
    for number in range(1500):
        at_ms = now_ms - HISTORY_MS + (number + 1) * (HISTORY_MS - 120_000) // 1500
        late = at_ms > now_ms - HISTORY_MS // 3
        probability = min(0.99, chance.betavariate(3, 4) + 0.1 * late)
        one = prediction(number, at_ms, _SOURCES[number % 4])
        model = msgspec.structs.replace(one.model, version="1.1.0", digest="sha256:" + "1" * 64) if late else one.model
        made.append(
            msgspec.structs.replace(
                one,
                model=model,
                probability=probability,
                decision="positive" if probability >= one.threshold else "negative",
                anomaly=chance.random(),
            )
        )
    return [(encode(each), each.scored_at) for each in made]
