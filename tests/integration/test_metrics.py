"""Every panel and every recorded rule finds its series on a real Prometheus that scrapes real workers."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest

from contracts.detection import Outcomes, Part, Signals, SourceSignals
from contracts.topics import EVENTS, SIGNALS
from models.dataset import load_dataset
from models.sign import PUBLIC_KEY_FILE
from models.sketch import Sketcher
from models.verify import verify_bundle
from monitoring.pushgateway import RunFigures, push
from producers.sign import Signer
from producers.sources import SourceRecord
from producers.synthetic import SyntheticPatients
from tests.integration.stream import Stream
from tests.monitoring.panels import queries
from tests.monitoring.test_rules import FILES, RECORDED
from tests.support.broker import Broker
from tests.support.prometheus import Prometheus, Pushgateway, all_found
from tests.support.serving import Serving
from tests.support.site import Site, release
from tests.support.waiting import wait_for

WORKERS = 2
FOUND_S = 60.0
"""Some scrapes, which come once a second, on a machine whose cores are busy with other tests."""


def signals_of_two_minutes(site: Site, now_ms: int) -> list[Signals]:
    """Return signals of patients like those of the reference, two minutes apart: then there is an opinion on drift."""
    bundle = verify_bundle(site.bundle, site.keys / PUBLIC_KEY_FILE)
    reference = bundle.manifest.reference_statistics
    assert reference is not None
    patients = load_dataset().distinct().x[:100].astype(np.float64)
    sketch = Sketcher(reference.columns).sketch(patients, np.array([0.2, 0.8] * 50))
    bins = len(reference.outcomes.positive)
    outcomes = Outcomes(bundle.digest, {"ward": [20] * bins + [round(20 * p) for p in reference.outcomes.positive]})
    part = Part(bundle.digest, sketch.events, list(sketch.totals))
    return [Signals(now_ms - ago_ms, {}, part, [outcomes]) for ago_ms in (120_000, 1_000)]


@dataclass
class Traffic:
    """Events and their outcomes, and a little of what goes wrong."""

    site: Site
    stream: Stream
    _rounds: int = 0
    _patients: SyntheticPatients = field(init=False)
    _signer: Signer = field(init=False)

    def __post_init__(self) -> None:
        key = self.site.pseudonym_key
        self._patients = SyntheticPatients(pseudonym_key=key, seed=8, patients=200, outcome_delay_s=0)
        self._signer = Signer(self.site.keyring)

    def flow(self) -> None:
        """Send events, one of them twice and one of them broken, and the outcomes of those that were sent before."""
        records = [
            msgspec.structs.replace(record, headers=self._signer.headers(record.source, record.key, record.value))
            for record in self._patients.take(40, time.time_ns() // 1_000_000)
        ]
        events = [record for record in records if record.topic is EVENTS]
        broken = msgspec.structs.replace(events[0], value=b"{")
        self.stream.produce([*events, events[0], broken])
        self.stream.produce([record for record in records if record.topic is not EVENTS])
        if self._rounds == 0:
            seen = SourceSignals({"repeated": 30, "scored": 10}, {"repeated": ["an-event"]})
            self.tell(Signals(time.time_ns() // 1_000_000, {"icu/bed-4": seen}))
        self._rounds += 1

    def tell(self, *signals: Signals) -> None:
        self.stream.produce(
            [
                SourceRecord(topic=SIGNALS, key=b"signals", value=msgspec.json.encode(each), event_id="", source="")
                for each in signals
            ]
        )


@pytest.mark.usefixtures("promtool")
def test_every_panel_and_recorded_rule_finds_its_series(
    kafka: Broker, site: Site, pushgateway: Pushgateway, tmp_path: Path
) -> None:
    prefix = kafka.topics("metrics")
    stream = Stream(kafka, prefix)
    traffic = Traffic(site, stream)
    release(site, kafka.bootstrap, prefix)
    release(site, kafka.bootstrap, prefix, role="shadow")
    traffic.tell(*signals_of_two_minutes(site, time.time_ns() // 1_000_000))
    steps = {"collect": (1.5, True), "gate-1": (20.0, True)}
    assert push(pushgateway.address, stream.group, RunFigures("released", time.time(), steps)) == ""

    with Serving(site, kafka.bootstrap, prefix, tmp_path / "log", released=True, workers=WORKERS) as serving:
        serving.start().wait_until_ready(WORKERS)
        targets = [("cardiosentry", f"127.0.0.1:{serving.web_port + slot}") for slot in range(WORKERS)]
        with Prometheus([*targets, ("pushgateway", pushgateway.address)], FILES) as prometheus:
            up = 'sum(up{job="cardiosentry"}) == 2 and sum(cardiosentry_watching) == 1'
            wait_for(lambda: bool(prometheus.query(up)), FOUND_S, lambda: f"expected {up}")
            wanted = {record: record for record in RECORDED} | queries(stream.group)

            def found_all() -> bool:
                traffic.flow()
                return all_found(wanted, prometheus)

            wait_for(found_all, FOUND_S, lambda: f"nothing found of {json.dumps(wanted, indent=1)}\n{serving.text()}")
            assert prometheus.unhealthy_rules() == []
            assert_nobody_is_named(serving, stream)
        assert "Traceback" not in serving.text()


def assert_nobody_is_named(serving: Serving, stream: Stream) -> None:
    """Assert that no patient, event or source stands on a worker's page."""
    pages = "".join(serving.get("/metrics", slot)[1] for slot in range(WORKERS))
    outputs = stream.outputs(explain=serving.text)
    assert outputs.predictions
    names = {each.patient_id for each in outputs.predictions} | set(outputs.event_ids) | {"icu/bed-4", "synthetic/"}
    assert [name for name in names if name in pages] == []
