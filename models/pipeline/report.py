"""What a run came to, for people and for programs: one HTML file that needs no other, and JSON."""

import base64
from importlib.resources import files
from pathlib import Path

import msgspec
from jinja2 import Environment, StrictUndefined

from models.pipeline.run import Done, RunFile, Workspace


class Account(msgspec.Struct, frozen=True):
    """A run as JSON: what it was, every step that was done in its order, and whether it passed."""

    run: RunFile
    verdict: str
    steps: dict[str, Done]


def verdict_of(workspace: Workspace, *, passed: bool) -> str:
    """Return the verdict in a few words: released, or which step said no."""
    if passed:
        return "released" if "release" in workspace.done else "passed"
    return f"{list(workspace.done)[-1]} said no"


def to_json(workspace: Workspace, *, passed: bool) -> bytes:
    """Return the account of a run."""
    account = Account(workspace.run, verdict_of(workspace, passed=passed), workspace.done)
    return msgspec.json.format(msgspec.json.encode(account), indent=1) + b"\n"


def to_html(workspace: Workspace, policy: str, *, passed: bool) -> str:
    """Return the report: every check with its evidence, figures, plots (the SVG files of each step) and the policy."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath("report.html").read_text("utf-8"))
    return template.render(
        run=workspace.run,
        verdict=verdict_of(workspace, passed=passed),
        passed=passed,
        steps=list(workspace.done.items()),
        plots={name: list(map(_plot, sorted(workspace.directory(name).glob("*.svg")))) for name in workspace.done},
        policy=policy,
    )


def _plot(path: Path) -> str:
    """Return a plot as the address of an image, which can run nothing."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
