"""A run goes on where it was interrupted, does again what rests on something else, and two at once are one."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.errors import UserError
from models.bundle import MODEL_FILE
from models.dsse import key_id
from models.keyfile import KeyFile
from models.pipeline.check import Check, Report
from models.pipeline.run import Step, Trigger, Workspace, alone, execute, forget, interrupted, join, open_run
from models.provenance import STEPS, check_chain

KEY = KeyFile(ec.generate_private_key(ec.SECP256R1()))
HAND = Trigger("hand", "a test", "2026-11-23T00:00:00Z")
NAMES = (*STEPS, "sign")


class Steps:
    """Steps that write a file each, count how often they were done, and may fail."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.breaks: str | None = None
        self.fails: str | None = None

    def __call__(self) -> list[Step]:
        return [Step(name, f"does {name}", self._run(name), gate=name.startswith("gate")) for name in NAMES]

    def _run(self, name: str) -> Callable[[Workspace], Report]:
        def run(workspace: Workspace) -> Report:
            if name == self.breaks:
                raise UserError(f"{name}: expected a disk that is not full")
            self.made.append(name)
            written = MODEL_FILE if name == "train" else f"{name}.bin"
            content = name.encode()
            (workspace.directory(name) / written).write_bytes(content)
            verdict = Check(name="it", verdict="fail" if name == self.fails else "pass", found="1", limit="0")
            return Report(step=name, checks=(verdict,), files={written: hashlib.sha256(content).hexdigest()})

        return run


@pytest.fixture
def steps() -> Steps:
    return Steps()


def run_of(path: Path, policy: bytes = b"policy", resume: str | None = None) -> Workspace:
    return open_run(path, policy, (HAND,), KEY, resume=resume)


def test_a_run_does_every_step_and_its_statements_are_a_whole_chain(tmp_path: Path, steps: Steps) -> None:
    workspace = run_of(tmp_path)
    assert execute(workspace, steps())
    assert steps.made == list(NAMES)
    graph = (workspace.directory("train") / MODEL_FILE).read_bytes()
    check_chain({**workspace.statements(), MODEL_FILE: graph}, {key_id(KEY.public_key): KEY.public_key}, "run")


def test_an_interrupted_run_goes_on_with_the_step_that_broke(tmp_path: Path, steps: Steps) -> None:
    steps.breaks = "evaluate"
    with pytest.raises(UserError, match="disk"):
        execute(run_of(tmp_path), steps())
    steps.breaks = None
    assert execute(run_of(tmp_path, resume=interrupted(tmp_path)), steps())
    assert steps.made == list(NAMES)


def test_a_gate_that_says_no_ends_the_run_and_is_asked_again_by_the_next(tmp_path: Path, steps: Steps) -> None:
    steps.fails = "gate-1"
    workspace = run_of(tmp_path)
    assert not execute(workspace, steps())
    assert steps.made == ["collect", "gate-1"]
    assert not (workspace.directory("gate-1") / "provenance-gate-1.json").exists()
    steps.fails = None
    assert execute(run_of(tmp_path, resume=workspace.run.id), steps())
    assert steps.made == ["collect", "gate-1", *NAMES[1:]]


def test_what_a_step_finds_is_for_the_next_gate_to_judge_and_no_statement_says_that_it_passed(
    tmp_path: Path, steps: Steps
) -> None:
    steps.fails = "evaluate"
    workspace = run_of(tmp_path)
    assert not execute(workspace, steps())
    assert steps.made == list(NAMES)  # this gate-2 judges nothing
    assert list(workspace.statements()) == [f"provenance-{step}.json" for step in ("collect", "gate-1", "train")]


def test_another_policy_does_everything_again(tmp_path: Path, steps: Steps) -> None:
    execute(run_of(tmp_path), steps())
    execute(run_of(tmp_path, b"another", interrupted(tmp_path)), steps())
    assert steps.made == [*NAMES, *NAMES]


def test_a_step_that_is_done_again_takes_those_after_it_with_it(tmp_path: Path, steps: Steps) -> None:
    execute(run_of(tmp_path), steps())
    workspace = run_of(tmp_path, resume=interrupted(tmp_path))
    forget(workspace, steps(), "attack")
    assert execute(workspace, steps())
    assert steps.made == [*NAMES, "attack", "gate-2", "sign"]
    with pytest.raises(UserError, match="expected one of collect"):
        forget(workspace, steps(), "atack")


def test_a_report_that_somebody_changed_makes_what_rests_on_it_be_done_again(tmp_path: Path, steps: Steps) -> None:
    workspace = run_of(tmp_path)
    execute(workspace, steps())
    report = workspace.directory("train") / "report.json"
    report.write_bytes(report.read_bytes().replace(b'"found": "1"', b'"found": "2"'))
    execute(run_of(tmp_path, resume=workspace.run.id), steps())
    assert steps.made == [*NAMES, *NAMES[3:]]


def test_two_at_once_are_one_run_that_names_both_triggers(tmp_path: Path, steps: Steps) -> None:
    with alone(tmp_path) as first:
        assert first
        workspace = run_of(tmp_path)
        with alone(tmp_path) as second:
            assert not second
            assert join(tmp_path, Trigger("drift", "an alert", "2026-11-23T00:00:01Z")) == workspace.run.id
    assert [each.kind for each in run_of(tmp_path, resume=workspace.run.id).run.triggers] == ["hand", "drift"]
    with alone(tmp_path) as third:
        assert third


def test_a_run_that_is_not_there_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a run that was interrupted"):
        run_of(tmp_path, resume="yesterday")
