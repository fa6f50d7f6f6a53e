"""Prometheus and its Pushgateway for tests: Debian's programs, each on a port of its own.

>>> with Pushgateway() as gateway, Prometheus([("cardiosentry", "127.0.0.1:6066")]) as prometheus:  # doctest: +SKIP
...     prometheus.query("up")
"""

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.kafka import free_ports
from tests.support.watchdog import Watchdog

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 10

SCRAPE_S = 1
"""Between two scrapes: a rate over some seconds has enough of them."""


class PrometheusUnavailable(Exception):  # as KafkaUnavailable
    """This machine has no such program; the text says which package to install."""


def program(name: str, package: str) -> str:
    """Return the path of a Debian program; raise `PrometheusUnavailable` where it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise PrometheusUnavailable(f"needs the Debian package {package}: {name} not found on PATH")
    return path


class _Server:
    """A server on a port of its own; leaving the context stops it by its process id and deletes its data."""

    def __init__(self) -> None:
        self._dir = Path(tempfile.mkdtemp(prefix="cardiosentry-prometheus-"))
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            command = self._command()
            with (self._dir / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self._dir
                )
            self._watchdog = Watchdog(self._process.pid, self._dir)
            self._wait_until_it_answers(self._process)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _wait_until_it_answers(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5).close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.address}: expected an answer: {(self._dir / 'log').read_text('utf-8', 'replace')}")

    def _close(self) -> None:
        if self._watchdog:
            self._watchdog.dismiss()
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._dir, ignore_errors=True)


class Pushgateway(_Server):
    """A Pushgateway with nothing in it."""

    def _command(self) -> list[str]:
        path = program("prometheus-pushgateway", "prometheus-pushgateway")
        return [path, f"--web.listen-address={self.address}"]


@dataclass(frozen=True)
class Sample:
    """One series of an answer and its value."""

    labels: dict[str, str]
    value: float


class Prometheus(_Server):
    """A Prometheus that scrapes `targets`, each a job and its address; `rules` are files of rules."""

    def __init__(self, targets: Sequence[tuple[str, str]], rules: Sequence[Path] = ()) -> None:
        super().__init__()
        self._targets, self._rules = targets, rules

    def _command(self) -> list[str]:
        jobs = dict.fromkeys(job for job, _ in self._targets)
        configuration = {
            "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
            "rule_files": [str(path) for path in self._rules],
            "scrape_configs": [
                {
                    "job_name": job,
                    "honor_labels": True,
                    "static_configs": [{"targets": [address for of, address in self._targets if of == job]}],
                }
                for job in jobs
            ],
        }
        (self._dir / "prometheus.yml").write_text(json.dumps(configuration))  # YAML holds JSON
        return [
            *(program("prometheus", "prometheus"), f"--config.file={self._dir / 'prometheus.yml'}"),
            *(f"--storage.tsdb.path={self._dir / 'data'}", f"--web.listen-address={self.address}"),
        ]

    def query(self, expression: str) -> list[Sample]:
        """Return what an expression comes to now: every series of it."""
        answer = self._get("/api/v1/query", query=expression)
        if answer["resultType"] == "scalar":
            return [Sample({}, float(answer["result"][1]))]
        return [Sample(each["metric"], float(each["value"][1])) for each in answer["result"]]

    def unhealthy_rules(self) -> list[str]:
        """Return what is wrong with each rule that could not be evaluated."""
        rules = [rule for group in self._get("/api/v1/rules")["groups"] for rule in group["rules"]]
        return [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] == "err"]

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"http://{self.address}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]
