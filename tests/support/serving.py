"""The real `cardiosentry serve` in processes of its own."""

import contextlib
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.support.ports import free_ports
from tests.support.process import CommandProcess
from tests.support.site import Site, release
from tests.support.waiting import wait_for

READY_S = 45.0
"""A worker is ready 3-4 s after its start on an idle machine; both cores may be busy with other tests."""

_MAX_WORKERS = 4
_DIED = re.compile(r"worker died slot=\d+ exit=(-?\d+)")


class Serving(CommandProcess):
    """`cardiosentry serve` over `site`, its options as keyword arguments; leaving the context kills what still runs.

    The site's model is released before the first start, unless one is `released` already. All output goes to `log`,
    which a restart appends to.
    """

    stop_s = 45.0

    def __init__(
        self, site: Site, bootstrap: str, prefix: str, log: Path, *, released: bool = False, **options: str | int | bool
    ) -> None:
        self._release: Callable[[], None] | None = None if released else partial(release, site, bootstrap, prefix)
        self.web_port, *_ = free_ports(_MAX_WORKERS)
        state = str(log.with_name(f"{log.name}-state"))
        defaults = {
            "store": str(site.store),
            "state": state,
            "keys": str(site.keys),
            "group": f"{prefix}group",
            "instance": "test",
        }
        given = {**defaults, "bootstrap": bootstrap, "topic_prefix": prefix, "web_port": self.web_port, **options}
        super().__init__(log, "serve", *(part for name, value in given.items() for part in _option(name, value)))
        self._children: list[psutil.Process] = []

    def start(self) -> Self:
        """Start the supervisor; do not wait."""
        if self._release:
            self._release()
            self._release = None
        return super().start()

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that run now."""
        try:
            found = psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []
        self._children = list(filter(_runs, {*self._children, *found}))
        return list(filter(_runs, found))

    def wait_until_ready(self, workers: int = 1) -> Self:
        """Wait until every worker holds a partition; fail with the log when one does not."""
        wait_for(lambda: all(self.get("/health/ready", slot)[0] == 200 for slot in range(workers)), READY_S, self.text)
        return self

    def get(self, path: str, slot: int = 0) -> tuple[int, str]:
        """Return status and body of a worker's page; status 0 where nobody listens."""
        return get(f"http://127.0.0.1:{self.web_port + slot}{path}")

    def metric(self, name: str, slot: int = 0) -> float:
        """Return the sum of a worker's metric over its labels; 0 where nobody listens."""
        lines = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.get("/metrics", slot)[1], re.MULTILINE)
        return sum(map(float, lines))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the supervisor a signal and return its exit code; SIGKILL leaves the workers to notice by themselves."""
        self.workers()
        return super().stop(how)

    def wait_until_workers_are_gone(self, timeout_s: float = 30.0) -> None:
        """Wait for the end of workers whose supervisor was killed."""
        wait_for(lambda: not any(map(_runs, self._children)), timeout_s, self.text)

    def exits(self) -> list[int]:
        """Return how the workers ended that the supervisor had to start again: exit codes, signals as -number."""
        return [int(code) for code in _DIED.findall(self.text())]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for child in self._children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def get(url: str) -> tuple[int, str]:
    """Return status and body of a page; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - a page on this machine
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _option(name: str, value: str | int | bool) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else "--no-" + flag[2:]]
    return [flag, str(value)]
