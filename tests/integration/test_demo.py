"""The demo accounts for every event that it sends."""

import json
import subprocess

import msgspec
import pytest

from monitoring.tally import Summary
from tests.support.serving import ROOT, command, environment

ATTACKS: list[tuple[list[str], dict[str, int]]] = [
    ([], {}),
    (["--attack", "tampered-release"], {"release-refused": 2}),
]


@pytest.mark.parametrize(("attack", "alerts"), ATTACKS, ids=["calm", "tampered release"])
def test_the_demo_runs_for_a_script_and_accounts_for_every_event(attack: list[str], alerts: dict[str, int]) -> None:
    done = subprocess.run(
        command("demo", "--seconds", "5", "--json", *attack),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stdout.splitlines()[-1]
    assert set(json.loads(line)) == set(Summary.__struct_fields__)
    summary = msgspec.json.decode(line, type=Summary)
    assert summary.events_sent > 100
    assert summary.predictions + sum(summary.quarantined.values()) == summary.events_sent
    assert summary.unaccounted == summary.doubled == 0
    assert summary.model_digest
    assert summary.alerts == alerts
    assert summary.latency_ms.keys() == {"p50", "p99"}
