"""The real `cardiosentry console` in a process of its own, and a browser to look at it."""

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from playwright.sync_api import Browser, sync_playwright

from tests.support.ports import free_ports
from tests.support.process import CommandProcess
from tests.support.serving import get
from tests.support.site import Site
from tests.support.waiting import wait_for

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


class ConsoleProcess(CommandProcess):
    """The console over a site's keys and store, on the same two ports for as long as the object lives."""

    def __init__(self, site: Site, bootstrap: str, prefix: str, log: Path, *, host: str = "127.0.0.1") -> None:
        self.port, self.metrics_port = free_ports(2)
        self.host = host
        super().__init__(
            log,
            *("console", "--bootstrap", bootstrap, "--topic-prefix", prefix, "--keys", str(site.keys)),
            *("--store", str(site.store), "--console-host", host, "--console-port", str(self.port)),
            *("--metrics-port", str(self.metrics_port)),
            leave=signal.SIGTERM,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it and wait until it answers and says where."""
        super().start()
        wait_for(lambda: get(f"{self.url}/health")[0] == 200, STARTED_S, self.text)
        wait_for(lambda: bool(re.search(rf"^console http://\S+:{self.port}$", self.text(), re.M)), 10, self.text)
        return self
