"""The real `cardiosentry console` in a process of its own, and a browser to look at it."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from playwright.sync_api import Browser, sync_playwright

from tests.support.kafka import free_ports
from tests.support.serving import ROOT, command, environment, get
from tests.support.site import Site
from tests.support.waiting import wait_for
from tests.support.watchdog import Watchdog

STARTED_S = 45.0
CHROMIUM = "chromium"


class BrowserUnavailable(Exception):  # as KafkaUnavailable
    """This machine has no Chromium; the text says what is missing."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium without a window; pages of it speak to nobody but the console."""
    path = shutil.which(CHROMIUM)
    if path is None:
        raise BrowserUnavailable("needs Chromium: chromium not found on PATH")
    with sync_playwright() as playwright:
        # Tests may run as root, in a container: there the sandbox does not start.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


class ConsoleProcess:
    """The console over a site's keys and store, on the same two ports for as long as the object lives."""

    def __init__(self, site: Site, bootstrap: str, prefix: str, log: Path, *, host: str = "127.0.0.1") -> None:
        self.port, self.metrics_port = free_ports(2)
        self.log, self.host = log, host
        self._arguments = [
            *("console", "--bootstrap", bootstrap, "--topic-prefix", prefix, "--keys", str(site.keys)),
            *("--store", str(site.store), "--console-host", host, "--console-port", str(self.port)),
            *("--metrics-port", str(self.metrics_port)),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait until it answers and says where."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command(*self._arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment(),
            )
        self._watchdog = Watchdog(self._process.pid)
        wait_for(lambda: get(f"{self.url}/health")[0] == 200, STARTED_S, self.text)
        wait_for(lambda: bool(re.search(rf"^console http://\S+:{self.port}$", self.text(), re.M)), 10, self.text)
        return self

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(30)
        if self._watchdog:
            self._watchdog.dismiss()
        return code

    def text(self) -> str:
        """Return what it wrote."""
        return self.log.read_text("utf-8", "replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process and self._process.poll() is None:
            self.stop()
