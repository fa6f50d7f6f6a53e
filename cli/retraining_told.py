"""Tells the Pushgateway of a retrain, however it ended."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from contracts.settings import Settings
from models.pipeline.run import Workspace
from monitoring.pushgateway import RunFigures, Verdict, push


@dataclass
class _Run:
    passed: bool | None = None


@contextmanager
def told(settings: Settings, workspace: Workspace) -> Iterator[_Run]:
    """Push the figures of the run in this context; a gateway that does not take them is named and changes nothing."""
    run = _Run()
    try:
        yield run
    finally:
        if settings.pushgateway:
            verdict: Verdict = "broken" if run.passed is None else "released" if run.passed else "refused"
            steps = {name: (done.seconds, done.report.passed) for name, done in workspace.done.items()}
            why = push(settings.pushgateway, settings.group, RunFigures(verdict, time.time(), steps))
            if why:
                click.echo(f"the Pushgateway {settings.pushgateway} was not told of this run: {why}", err=True)
