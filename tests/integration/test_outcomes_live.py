"""Outcomes meet their predictions on a real broker, once each, though both workers die in between."""

import time
from pathlib import Path

import msgspec

from contracts.detection import Signals
from contracts.topics import EVENTS, SIGNALS
from producers.sign import Signer
from producers.synthetic import SyntheticPatients
from tests.integration.stream import Stream
from tests.support.broker import Broker
from tests.support.reading import read_topic
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for


def test_outcomes_count_once_by_source_and_score_though_the_workers_die(
    kafka: Broker, site: Site, tmp_path: Path
) -> None:
    prefix = kafka.topics("outcomes")
    stream = Stream(kafka, prefix)
    signer = Signer(site.keyring)
    source = SyntheticPatients(pseudonym_key=site.pseudonym_key, seed=3, patients=200, outcome_delay_s=0)
    records = [
        msgspec.structs.replace(record, headers=signer.headers(record.source, record.key, record.value))
        for record in source.take(300, time.time_ns() // 1_000_000)
    ]
    events = [record for record in records if record.topic is EVENTS]
    outcomes = [record for record in records if record.topic is not EVENTS]
    with Serving(site, kafka.bootstrap, prefix, tmp_path / "log", workers=2) as serving:
        serving.start().wait_until_ready(workers=2)
        stream.produce(events[:200])
        stream.wait_until_worked_off(explain=serving.text)
        stream.produce(outcomes[:100])
        stream.wait_until_worked_off(explain=serving.text)
        before = {worker.pid for worker in serving.workers()}
        for worker in serving.workers():
            worker.kill()
        wait_for(lambda: len({worker.pid for worker in serving.workers()} - before) == 2, 30, serving.text)
        serving.wait_until_ready(workers=2)  # partitions that move later would have no event before their outcomes
        stream.produce(events[200:])  # every partition has one: whoever takes it over reads what came before
        stream.wait_until_worked_off(explain=serving.text)
        stream.produce(outcomes)
        stream.wait_until_worked_off(explain=serving.text)
        assert "Traceback" not in serving.text()
    found = [
        msgspec.json.decode(record.value or b"", type=Signals)
        for record in read_topic(kafka.bootstrap, prefix + SIGNALS.name)
    ]
    counted: dict[str, int] = {}
    for signals in found:
        assert not signals.unmatched
        for part in signals.outcomes:
            for name, totals in part.sources.items():
                counted[name] = counted.get(name, 0) + sum(totals[: len(totals) // 2])
    assert sum(counted.values()) == 300
    assert counted == {name: sum(record.source == name for record in outcomes) for name in counted}
