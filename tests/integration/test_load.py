"""More than a worker can take at once: memory stays bounded and nothing is lost."""

import time
from pathlib import Path

import psutil

from producers.publish import Publisher
from tests.integration.stream import Patients, Stream
from tests.support.broker import Broker
from tests.support.serving import Serving
from tests.support.site import Site

BACKLOG = 200_000
MAX_RSS = 400 * 1024 * 1024
"""The limit of a worker at full rate; it needs about half."""


def test_a_backlog_is_worked_off_once_in_bounded_memory(kafka: Broker, site: Site, tmp_path: Path) -> None:
    prefix = kafka.topics("backlog")
    stream = Stream(kafka, prefix)
    patients = Patients(site, seed=9, patients=5000)
    sent: list[str] = []
    with Publisher(kafka.bootstrap, topic_prefix=prefix) as publisher:
        while len(sent) < BACKLOG:
            records = patients.events(2000)
            publisher.send(records)
            sent += [record.event_id for record in records]
    peak = 0
    with Serving(site, kafka.bootstrap, prefix, tmp_path / "log") as serving:
        serving.start().wait_until_ready()
        (worker,) = serving.workers()
        deadline = time.monotonic() + 120
        while not stream.is_worked_off():
            assert time.monotonic() < deadline, serving.text()
            peak = max(peak, rss(worker))
            time.sleep(0.05)
        assert serving.stop() == 0
        assert not serving.exits()
    outputs = stream.outputs()
    assert len(outputs.event_ids) == BACKLOG
    assert set(outputs.event_ids) == set(sent)
    assert not outputs.quarantined
    assert 0 < peak < MAX_RSS


def rss(process: psutil.Process) -> int:
    """Return the resident bytes of a process."""
    memory: int = process.memory_info().rss
    return memory
