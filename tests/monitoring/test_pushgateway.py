"""What a retrain pushes arrives as the catalogue says, and a gateway that is away costs a run nothing."""

import uuid
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.retraining_told import told
from contracts.errors import UserError
from contracts.metrics import METRICS
from contracts.settings import Settings
from models.pipeline.check import Check, Report, Verdict
from models.pipeline.run import Done, RunFile, Workspace
from monitoring.pushgateway import JOB
from tests.support.ports import free_ports
from tests.support.prometheus import Pushgateway
from tests.support.serving import get


class Group:
    """A group of workers' settings, and what the gateway has of it."""

    def __init__(self, gateway: Pushgateway) -> None:
        self.name = f"group-{uuid.uuid4().hex}"
        self._gateway = gateway
        self.settings = Settings(group=self.name, pushgateway=gateway.address)

    def pushed(self) -> dict[tuple[str, str], float]:
        """Return each metric's value by its name and the one label that it has of its own."""
        found = {}
        for family in text_string_to_metric_families(get(f"http://{self._gateway.address}/metrics")[1]):
            for sample in family.samples:
                labels = dict(sample.labels)
                if labels.pop("group", "") == self.name and sample.name.startswith("cardiosentry_"):
                    assert (labels.pop("job"), labels.pop("instance")) == (JOB, "")
                    assert tuple(labels) == METRICS[sample.name].labels  # type: ignore[index]
                    found[sample.name.removeprefix("cardiosentry_retrain_"), "".join(labels.values())] = sample.value
        return found


@pytest.fixture
def group(pushgateway: Pushgateway) -> Group:
    return Group(pushgateway)


def workspace(tmp_path: Path, **verdicts: Verdict) -> Workspace:
    """Return a run whose steps came to these verdicts, each in 1.5 s."""
    run = Workspace(tmp_path, RunFile("run", "", ()), key=None)  # type: ignore[arg-type]
    for step, verdict in verdicts.items():
        report = Report(step=step, checks=(Check(name="a check", verdict=verdict, found="", limit=""),))
        run.done[step] = Done(report, "", "", "", 1.5)
    return run


def test_a_run_that_released_is_told_with_every_step(group: Group, tmp_path: Path) -> None:
    with told(group.settings, workspace(tmp_path, collect="pass", release="waived")) as run:
        run.passed = True
    pushed = group.pushed()
    ended = pushed.pop(("finished_timestamp_seconds", "released"))
    assert pushed == {
        ("released_timestamp_seconds", ""): ended,
        ("step_passed", "collect"): 1,
        ("step_passed", "release"): 1,
        ("step_seconds", "collect"): 1.5,
        ("step_seconds", "release"): 1.5,
    }


def test_a_gate_that_says_no_replaces_the_last_run_but_not_when_one_last_released(group: Group, tmp_path: Path) -> None:
    with told(group.settings, workspace(tmp_path, collect="pass", release="pass")) as run:
        run.passed = True
    before = group.pushed()
    with told(group.settings, workspace(tmp_path, collect="pass", gate="fail")) as run:
        run.passed = False
    pushed = group.pushed()
    assert pushed["step_passed", "gate"] == 0
    assert ("step_passed", "release") not in pushed
    assert ("finished_timestamp_seconds", "released") not in pushed
    assert pushed["finished_timestamp_seconds", "refused"] >= before["finished_timestamp_seconds", "released"]
    assert pushed["released_timestamp_seconds", ""] == before["released_timestamp_seconds", ""]


def test_a_run_that_broke_says_so_and_its_error_goes_on(group: Group, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no key"), told(group.settings, workspace(tmp_path, collect="pass")):
        raise UserError("no key")
    assert ("finished_timestamp_seconds", "broken") in group.pushed()


def test_a_gateway_that_is_away_is_named_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    with told(Settings(pushgateway=f"127.0.0.1:{port}"), workspace(tmp_path)) as run:
        run.passed = True
    assert f"the Pushgateway 127.0.0.1:{port} was not told of this run" in capsys.readouterr().err


def test_without_a_gateway_nobody_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with told(Settings(), workspace(tmp_path)) as run:
        run.passed = True
    assert capsys.readouterr().err == ""
