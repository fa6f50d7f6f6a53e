"""A run of the pipeline: steps in their order, each with its evidence on disk, so that an interrupted run goes on.

A run is a directory. Each step has one in it with what it wrote, its report, and, once it passed, its signed statement.
A step that was done is not done again while what it rests on is the same: the policy, the run's triggers when it began,
and everything before it, all by their SHA-256. Whatever changes, changes every step after it.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from contracts.errors import UserError
from models.bundle import MODEL_FILE
from models.dsse import KeyProvider
from models.pipeline.check import Report
from models.provenance import STEPS as PROVEN
from models.provenance import file_of, state

_DONE_FILE = "report.json"
_RUN_FILE = "run.json"
_LOCK_FILE = "lock"
_JOIN_FILE = "lock.join"
ACCOUNT_FILE = "report.json"
"""What a run came to: a run without it is unfinished."""

_BEGIN_S = 10.0  # from the lock to the run's file

_STATED = (*PROVEN, "sign")
"""The steps that leave a signed statement; that of `sign` names the finished bundle, so it cannot lie in it."""


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a run was made: its kind (hand, timer, outcomes, alert, commit) and what it says of itself."""

    kind: str
    says: str
    at: str


class RunFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run is: its id, the SHA-256 of its policy, and its triggers, those that joined it last."""

    id: str
    policy: str
    triggers: tuple[Trigger, ...]


class Done(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step that was done: its report, what it rested on (SHA-256), when, and how long it took."""

    report: Report
    rests_on: str
    started: str
    finished: str
    seconds: float


@dataclass(frozen=True)
class Step:
    """One step: `does` says what, for people; `run` does it and raises `UserError` where it cannot.

    What a `gate` does not let pass ends the run; other steps find what the next gate judges.
    """

    name: str
    does: str
    run: Callable[["Workspace"], Report]
    gate: bool = False


@dataclass
class Workspace:
    """The directory of one run, as a step sees it. `key` signs its statements."""

    path: Path
    run: RunFile
    key: KeyProvider
    done: dict[str, Done] = field(default_factory=dict)

    def directory(self, step: str) -> Path:
        """Return a step's directory."""
        return self.path / step

    def statements(self) -> dict[str, bytes]:
        """Return the signed statements so far, by the name that they have in a bundle."""
        paths = (self.directory(step) / file_of(step) for step in PROVEN if step in self.done)
        return {path.name: path.read_bytes() for path in paths if path.exists()}


Listener = Callable[[Step, "Done | None"], None]
"""Told of each step as it begins (None) and when it is done."""


def execute(workspace: Workspace, steps: Sequence[Step], listen: Listener = lambda *_: None) -> bool:
    """Do the steps that are not done yet; return whether all passed. Stops at the first gate that says no.

    Raises `UserError` where a step cannot be done; what was done before it stays.
    """
    rests_on = hashlib.sha256(workspace.run.policy.encode()).hexdigest()
    for step in steps:
        found = _read_done(workspace.directory(step.name), rests_on)
        if found is None:
            listen(step, None)
            found = _do(workspace, step, rests_on)
        workspace.done[step.name] = found
        listen(step, found)
        if step.gate and not found.report.passed:
            return False
        rests_on = sha256_of(workspace.directory(step.name) / _DONE_FILE)
    return all(done.report.passed for done in workspace.done.values())


def forget(workspace: Workspace, steps: Sequence[Step], name: str) -> None:
    """Have a step done again, and with it all that come after it; raises `UserError` for a name that is none."""
    names = [step.name for step in steps]
    if name not in names:
        raise UserError(f"step: expected one of {', '.join(names)}, got {name}")
    for later in names[names.index(name) :]:
        shutil.rmtree(workspace.directory(later), ignore_errors=True)


def open_run(
    runs: Path, policy: bytes, triggers: tuple[Trigger, ...], key: KeyProvider, *, resume: str | None = None
) -> Workspace:
    """Return a new run below `runs`, or the one named `resume`; raises `UserError` if there is none of that name."""
    digest = hashlib.sha256(policy).hexdigest()
    if resume is not None:
        path = runs / resume
        try:
            run = msgspec.structs.replace(read_run(path), policy=digest)
        except (OSError, msgspec.DecodeError):
            raise UserError(f"{path}: expected a run that was interrupted, found none") from None
    else:
        identity = datetime.now(UTC).strftime("%Y%m%dT%H%M%S") + f"-{os.urandom(2).hex()}"
        path, run = runs / identity, RunFile(identity, digest, triggers)
        path.mkdir(parents=True)
    write_whole(path / _RUN_FILE, msgspec.json.encode(run))
    (runs / _LOCK_FILE).write_text(run.id)
    return Workspace(path, run, key)


def interrupted(runs: Path) -> str | None:
    """Return the id of the last run, if one began: it may be done, and then nothing of it is done again."""
    found = all_runs(runs)
    return found[-1].name if found else None


def unfinished(runs: Path) -> bool:
    """Whether the last run came to no account: it was interrupted, or is under way."""
    found = all_runs(runs)
    return bool(found) and not (found[-1] / ACCOUNT_FILE).exists()


def all_runs(runs: Path) -> list[Path]:
    """Return the directories of all runs, the oldest first."""
    return sorted(path.parent for path in runs.glob(f"*/{_RUN_FILE}"))


def read_run(path: Path) -> RunFile:
    """Return what the run in a directory is."""
    return msgspec.json.decode((path / _RUN_FILE).read_bytes(), type=RunFile)


@contextmanager
def alone(runs: Path) -> Iterator[bool]:
    """Hold the lock of `runs`; yield whether it was free. A second run at the same time would be the same one."""
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / _LOCK_FILE).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        lock.truncate(0)
        yield True


def join(runs: Path, trigger: Trigger) -> str:
    """Note a trigger with the run that is under way, and return that run's id."""
    until = time.monotonic() + _BEGIN_S
    while not (identity := (runs / _LOCK_FILE).read_text()):
        if time.monotonic() > until:
            raise UserError(f"{runs}: expected the run that is under way, it has not begun yet; try again")
        time.sleep(0.05)
    path = runs / identity / _RUN_FILE
    with (runs / _JOIN_FILE).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # others may join at the same time
        run = read_run(path.parent)
        write_whole(path, msgspec.json.encode(msgspec.structs.replace(run, triggers=(*run.triggers, trigger))))
    return identity


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _do(workspace: Workspace, step: Step, rests_on: str) -> Done:
    directory = workspace.directory(step.name)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    started, begun_s = now(), time.monotonic()
    report = step.run(workspace)
    done = Done(report, rests_on, started, now(), time.monotonic() - begun_s)
    if step.name in _STATED and all(each.report.passed for each in (*workspace.done.values(), done)):
        write_whole(directory / file_of(step.name), _statement(workspace, step.name, done))
    write_whole(directory / _DONE_FILE, msgspec.json.format(msgspec.json.encode(done), indent=1))
    return done


def _statement(workspace: Workspace, step: str, done: Done) -> bytes:
    at = _STATED.index(step)
    dependencies: dict[str, str] = {"policy.toml": workspace.run.policy}
    if at:
        before = file_of(_STATED[at - 1])
        dependencies[before] = sha256_of(workspace.directory(_STATED[at - 1]) / before)
    if at > _STATED.index("train"):
        dependencies[MODEL_FILE] = workspace.done["train"].report.files[MODEL_FILE]
    return state(
        step,
        workspace.key,
        subjects=done.report.files,
        dependencies=dependencies,
        parameters={"triggers": [msgspec.to_builtins(each) for each in workspace.run.triggers]} if not at else {},
        run=workspace.run.id,
        started=done.started,
        finished=done.finished,
    )


def _read_done(directory: Path, rests_on: str) -> Done | None:
    """Return what a step came to before, unless it rested on something else or did not pass."""
    try:
        done = msgspec.json.decode((directory / _DONE_FILE).read_bytes(), type=Done)
    except (OSError, msgspec.DecodeError):
        return None
    return done if done.rests_on == rests_on and done.report.passed else None


def now() -> str:
    """Return the time as provenance writes it, RFC 3339."""
    return to_time(time.time_ns() // 1_000_000)


def from_time(text: str) -> int:
    """Return a time of provenance in epoch milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def to_time(at_ms: int) -> str:
    """Return a time (epoch milliseconds) as provenance writes it, RFC 3339."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
