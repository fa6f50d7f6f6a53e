"""The crash test in short; `make chaos` runs the long one."""

from pathlib import Path

import pytest

from tests.chaos.chaos import Chaos, Options
from tests.conftest import cannot_run
from tests.support.kafka import KafkaServer, KafkaUnavailable
from tests.support.site import Site


def test_no_event_is_lost_or_doubled_while_workers_and_the_broker_are_killed(site: Site, tmp_path: Path) -> None:
    # Whether it recovers is tested here; within how many seconds is measured by `make chaos`, on a machine of its own.
    options = Options(
        events=40_000, rate=2500, kills=3, broker_restarts=1, supervisor_kills=0, releases=4, max_recovery_s=60, seed=11
    )
    kafka = KafkaServer()
    try:
        try:
            kafka.start()
        except KafkaUnavailable as error:
            cannot_run(str(error))
        summary = Chaos(kafka, site, tmp_path / "serve.log", options, print).run()
    finally:
        kafka.close()

    if not summary.ok:
        pytest.fail(f"{summary}\n{(tmp_path / 'serve.log').read_text()[-4000:]}")
