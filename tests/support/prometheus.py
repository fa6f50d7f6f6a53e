"""Prometheus and its Pushgateway for tests: Debian's programs, each on a port of its own.

>>> with Pushgateway() as gateway, Prometheus([("cardiosentry", "127.0.0.1:6066")]) as prometheus:  # doctest: +SKIP
...     prometheus.query("up")
"""

import json
import math
import shutil
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports
from tests.support.server import Server
from tests.support.serving import get

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


class _Server(Server):
    """A server on a port of its own."""

    def __init__(self) -> None:
        super().__init__(type(self).__name__.lower())
        (self.port,) = free_ports(1)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        return get(f"http://{self.address}/-/ready")[0] == 200


class Pushgateway(_Server):
    """A Pushgateway with nothing in it."""

    def _program(self) -> list[str]:
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

    def _program(self) -> list[str]:
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


def all_found(wanted: dict[str, str], prometheus: Prometheus) -> bool:
    """Leave only the queries that find nothing yet and return whether none is left.

    NaN is nothing: a share of nothing, a quantile of no events.
    """
    for name, expression in list(wanted.items()):
        if any(math.isfinite(sample.value) for sample in prometheus.query(expression)):
            del wanted[name]
    return not wanted
