"""What `cardiosentry retrain` shows: the steps as they are done, then every check in one table."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cli.tables import console
from models.pipeline.check import Report
from models.pipeline.report import verdict_of
from models.pipeline.run import Done, Step, Workspace

_STYLES = {"pass": "green", "fail": "bold red", "waived": "yellow"}


class View:
    """Shows a run on standard error, where a terminal updates in place; the account goes to standard output."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._names: Sequence[str] = ()
        self._done: dict[str, Done] = {}
        self._under_way: tuple[str, float] | None = None
        self._doing = ""

    def progress(self, line: str) -> None:
        """Show what the step under way is at."""
        self._doing = line
        self._refresh()

    def listen(self, step: Step, done: Done | None) -> None:
        """See `models.pipeline.run.Listener`."""
        self._doing = step.does if done is None else ""
        self._under_way = (step.name, time.monotonic()) if done is None else None
        if done is not None:
            self._done[step.name] = done
        if not self._quiet and not self._console.is_terminal:
            said = step.does if done is None else f"{_verdict(done.report)} in {done.seconds:.1f} s"
            self._console.print(f"{step.name}: {said}", soft_wrap=True, highlight=False, markup=False)
        self._refresh()

    @contextmanager
    def over(self, run: str, names: Sequence[str]) -> Iterator[None]:
        """Show the steps until they are over."""
        self._names = names
        if self._quiet or not self._console.is_terminal:
            yield
            return
        self._console.print(f"run {run}")
        with Live(self._steps(), console=self._console, refresh_per_second=4) as self._live:
            yield
            self._refresh()

    def end(self, workspace: Workspace, account: bytes, *, passed: bool) -> None:
        """Show every check, the verdict and where the reports are."""
        if self._quiet:
            click.echo(account.decode(), nl=False)
            return
        table = Table(box=None, pad_edge=False)
        for column in ("step", "check", "verdict", "found", "the policy wants"):
            table.add_column(column, overflow="fold")
        for name, done in workspace.done.items():
            for check in done.report.checks:
                style = _STYLES[check.verdict]
                found = f"{check.found}\n{check.advice}" if check.advice and check.verdict == "fail" else check.found
                verdict = f"[{style}]{check.verdict}[/]"
                table.add_row(escape(name), escape(check.name), verdict, escape(found), escape(check.limit))
        output = console()
        output.print(table)
        output.print(f"{verdict_of(workspace, passed=passed)}: {workspace.path}/report.html", highlight=False)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._steps())

    def _steps(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name in self._names:
            done = self._done.get(name)
            if done is not None:
                passed = done.report.passed
                verdict = f"[{_STYLES['pass' if passed else 'fail']}]{_verdict(done.report)}[/]"
                table.add_row(name, verdict, f"{done.seconds:.1f} s", "")
            elif self._under_way and self._under_way[0] == name:
                spent = time.monotonic() - self._under_way[1]
                table.add_row(f"[bold]{name}[/]", "…", f"{spent:.0f} s", escape(self._doing))
            else:
                table.add_row(f"[dim]{name}[/]", "", "", "")
        return table


def _verdict(report: Report) -> str:
    failed = sum(check.verdict == "fail" for check in report.checks)
    return f"{failed} of {len(report.checks)} checks failed" if failed else "passed"
