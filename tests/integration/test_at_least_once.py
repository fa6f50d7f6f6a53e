"""At least once: nothing is lost over a kill; duplicates are allowed."""

import signal
from collections import Counter
from pathlib import Path

from tests.integration.stream import Patients, SteadyLoad, Stream
from tests.support.broker import Broker
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

RATE = 1000.0  # events/s


def test_at_least_once_loses_nothing_when_workers_are_killed(kafka: Broker, site: Site, tmp_path: Path) -> None:
    prefix = kafka.topics("atleast")
    stream = Stream(kafka, prefix)
    events = Patients(site, seed=3).events(1000)
    with (
        Serving(site, kafka.bootstrap, prefix, tmp_path / "log", delivery="at-least-once") as serving,
        SteadyLoad(stream, site, RATE) as load,
    ):
        serving.start()
        for _ in range(2):
            serving.wait_until_ready()
            wait_for(lambda: serving.metric("cardiosentry_predictions_total") > 1000, 30, serving.text)
            (worker,) = serving.workers()
            worker.kill()
            worker.wait(10)
        stream.produce(events)
        load.finish()
        outputs = stream.outputs(explain=serving.text)
        assert serving.exits() == [-signal.SIGKILL] * 2
    times = Counter(outputs.event_ids)
    sent = {event_id for _, event_id in load.sent} | {event.event_id for event in events}
    assert times.keys() == sent
    assert not outputs.quarantined
