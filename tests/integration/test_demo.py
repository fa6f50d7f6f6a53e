"""The demo accounts for every event that it sends."""

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
from click.testing import CliRunner

from cli.attacks import DEMO_ATTACKS
from cli.main import cardiosentry
from monitoring.tally import Summary
from tests.support.process import ROOT, CommandProcess
from tests.support.serving import get
from tests.support.waiting import wait_for

ATTACKS: list[tuple[list[str], dict[str, int]]] = [
    ([], {}),
    (["--attack", "tampered-release"], {"release-refused": 2}),
    (["--attack", "replay"], {"replayed-events": 1}),
    (["--attack", "extraction"], {"shifting-patient": 1}),
]

LATER = {"unlike-training"}
"""What sees extraction too, a second or two later: at the end of so short a demo, or after it."""


@pytest.mark.parametrize(("attack", "alerts"), ATTACKS, ids=["calm", "tampered release", "replay", "extraction"])
def test_the_demo_runs_for_a_script_and_accounts_for_every_event(
    attack: list[str], alerts: dict[str, int], tmp_path: Path
) -> None:
    with CommandProcess(tmp_path / "log", "demo", "--seconds", "6", "--json", *attack) as demo:
        assert demo.process
        wait_for(lambda: bool(re.search(r"^console http://\S+$", demo.text(), re.M)), 60, demo.text)
        (console,) = re.findall(r"^console (http://\S+)$", demo.text(), re.M)
        assert get(f"{console}/health") == (200, "ok\n")  # when its address is printed it listens
        assert demo.process.wait(180) == 0, demo.text()
    assert "Traceback" not in demo.text()
    (line,) = (line for line in demo.text().splitlines() if line.startswith("{"))
    assert set(json.loads(line)) == set(Summary.__struct_fields__)
    summary = msgspec.json.decode(line, type=Summary)
    assert summary.events_sent > 100
    back = summary.predictions + sum(summary.quarantined.values())
    assert back == summary.events_sent or (attack and back > summary.events_sent)  # an attack's own come on top
    assert summary.unaccounted == summary.doubled == 0
    assert summary.model_digest
    found = {told.rule: told.count for told in summary.alerts}
    assert alerts.keys() <= found.keys() <= alerts.keys() | LATER
    assert all(found[rule] >= count for rule, count in alerts.items())
    for told in summary.alerts:
        assert re.fullmatch(r"AML\.T\d{4}(\.\d{3})?", told.technique or "")
        assert told.delay_events is not None
        assert 0 <= told.delay_events <= summary.events_sent
        assert told.delay_s is not None
        assert 0 < told.delay_s < 60
    assert summary.latency_ms.keys() == {"p50", "p99"}


def test_nothing_that_the_demo_starts_outlives_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from cli.demo_run import _process as process\n"
        "with process(['broker'], Path(sys.argv[1])) as started:\n    print(started.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as demo:
        assert demo.stdout
        started = psutil.Process(int(demo.stdout.readline()))
        demo.kill()
    wait_for(lambda: not started.is_running() or started.status() == psutil.STATUS_ZOMBIE, 10)


def test_the_demo_lists_its_attacks_and_knows_no_others() -> None:
    listed = CliRunner().invoke(cardiosentry, ["demo", "--attack", "list"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in DEMO_ATTACKS)
    refused = CliRunner().invoke(cardiosentry, ["demo", "--attack", "earthquake"])
    assert refused.exit_code == 2
    assert "got 'earthquake'" in refused.output
