"""`cardiosentry triggers` on a real Kafka: outcomes and commits begin runs, one at a time; a freeze keeps them."""

import json
import re
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from cli.main import cardiosentry
from cli.triggering import SECRET_FILE
from contracts.metrics import METRICS
from contracts.topics import EVENTS
from models.pipeline.policy import default_text
from models.pipeline.run import ACCOUNT_FILE, all_runs, read_run
from producers.replay import replay
from producers.sign import Signer
from tests.integration.stream import Stream
from tests.support.broker import Broker
from tests.support.ports import free_ports
from tests.support.process import CommandProcess
from tests.support.serving import get
from tests.support.site import Site, release
from tests.support.waiting import wait_for

RUN_S = 90.0
SHA = "{:040x}"


def policy(path: Path) -> Path:
    """Write a policy under which outcomes begin runs and each run ends quickly, at Gate 1."""
    text = default_text()
    for name, value in {
        "every_days": "0",
        "outcomes": "50",
        "least_hours_between": "0",
        "least_rows": "100_000",
    }.items():
        text, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1, name
    path.write_text(text)
    return path


@dataclass
class Triggering:
    """The process, its runs, and the settings of the system that it works for."""

    process: CommandProcess
    runs: Path
    secret: str
    options: tuple[str, ...]
    metrics_port: int

    def text(self) -> str:
        return self.process.text()

    def commit(self, number: int, secret: str | None = None) -> tuple[int, str]:
        """Tell of a commit as GitLab does; return the answer's status and what becomes of the commit."""
        (address,) = re.findall(r"listening on (http://[\d.:]+)/github", self.text())
        body = {
            "ref": "refs/heads/main",
            "checkout_sha": SHA.format(number),
            "project": {"path_with_namespace": "st-mary/model", "default_branch": "main"},
        }
        headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret or self.secret}
        request = urllib.request.Request(f"{address}/gitlab", json.dumps(body).encode(), headers)  # noqa: S310 - a page on this machine
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())["retrain"]
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def reasons(self) -> list[list[str]]:
        """Return what each finished run says of its reasons."""
        return [
            [trigger.says for trigger in read_run(path).triggers]
            for path in all_runs(self.runs)
            if (path / ACCOUNT_FILE).exists()
        ]

    def metrics(self) -> dict[str, float]:
        """Return its samples by name and labels, but those of every process."""
        page = get(f"http://127.0.0.1:{self.metrics_port}/metrics")[1]
        found = re.findall(r"^cardiosentry_triggers_(\S+) (\S+)$", page, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def runs_by_reason(self) -> dict[str, float]:
        """Return how many runs it counted for each reason that there was."""
        runs = {name: value for name, value in self.metrics().items() if name.startswith("runs_total") and value}
        return {name.split('"')[1]: value for name, value in runs.items()}

    def contain(self, act: str) -> None:
        done = CliRunner().invoke(cardiosentry, ["contain", act, "--reason", "a test", *self.options])
        assert done.exit_code == 0, done.output


@pytest.fixture
def triggering(kafka: Broker, site: Site, tmp_path: Path) -> Iterator[Triggering]:
    prefix, store = kafka.topics("triggers"), tmp_path / "store"
    keys = Path(shutil.copytree(site.keys, tmp_path / "keys"))  # triggers makes one of its own there
    release(Site(site.bundle, keys, store), kafka.bootstrap, prefix)
    signer = Signer(site.keyring)
    patients = replay(pseudonym_key=site.pseudonym_key, outcome_delay_s=0, seed=7)
    Stream(kafka, prefix).produce(
        [
            msgspec.structs.replace(made, headers=signer.headers(made.source, made.key, made.value), delay_s=0)
            for made in patients.take(150, time.time_ns() // 1_000_000)
            if made.topic is not EVENTS
        ]
    )
    options = ("--bootstrap", kafka.bootstrap, "--topic-prefix", prefix, "--keys", str(keys))
    runs = tmp_path / "runs"
    (metrics_port,) = free_ports(1)
    (tmp_path / "source").mkdir()
    arguments = [
        *("--store", str(store), "--policy", str(policy(tmp_path / "policy.toml")), "--look-s", "0.5"),
        *("--runs", str(runs), "--source", str(tmp_path / "source"), "--webhook", "127.0.0.1:0"),
        *("--metrics-port", str(metrics_port)),
    ]
    # A SIGKILL would leave the run that it began.
    with CommandProcess(tmp_path / "log", "triggers", *options, *arguments, leave=signal.SIGTERM) as process:
        wait_for(lambda: "waiting for reasons" in process.text(), 30, process.text)
        yield Triggering(process, runs, (keys / SECRET_FILE).read_text().strip(), options, metrics_port)


def test_outcomes_and_commits_begin_runs_once_each_and_a_freeze_keeps_them(triggering: Triggering) -> None:
    wait_for(lambda: triggering.metrics()["running"] == 1, RUN_S, triggering.text)
    looked_s = triggering.metrics()["looked_timestamp_seconds"]
    assert 0 < looked_s <= time.time()
    wait_for(lambda: len(triggering.reasons()) == 1, RUN_S, triggering.text)
    ((reason,),) = triggering.reasons()
    assert re.fullmatch(r"\d+ outcomes since the last run", reason)

    assert triggering.commit(1, "another") == (401, '{"error": "expected the webhook\'s secret"}')
    assert triggering.commit(1) == (202, "queued")
    wait_for(lambda: len(triggering.reasons()) == 2, RUN_S, triggering.text)
    assert triggering.commit(1) == (202, "known")

    triggering.contain("freeze")
    assert triggering.commit(2) == (202, "queued")
    wait_for(lambda: "retraining is frozen by" in triggering.text(), 30, triggering.text)
    assert triggering.commit(3) == (202, "queued")
    assert len(all_runs(triggering.runs)) == 2
    held = triggering.metrics()
    assert (held["frozen"], held["commits_waiting"], held["running"]) == (1, 2, 0)
    assert held["looked_timestamp_seconds"] > looked_s
    assert triggering.runs_by_reason() == {"outcomes": 1, "commit": 1}
    triggering.contain("thaw")
    wait_for(lambda: len(triggering.reasons()) == 3, RUN_S, triggering.text)
    assert triggering.reasons()[1:] == [
        [f"commit {SHA.format(1)} on main of st-mary/model"],
        [f"commit {SHA.format(number)} on main of st-mary/model" for number in (2, 3)],
    ]
    wait_for(lambda: triggering.runs_by_reason() == {"outcomes": 1, "commit": 2}, RUN_S, triggering.text)
    wait_for(lambda: triggering.metrics()["commits_waiting"] == 0, 30, triggering.text)
    assert triggering.metrics()["frozen"] == 0
    page = get(f"http://127.0.0.1:{triggering.metrics_port}/metrics")[1]
    shown = {name for name in re.findall(r"^# TYPE (\S+)", page, re.MULTILINE) if not name.startswith("process_")}
    assert shown == {name for name, metric in METRICS.items() if metric.by == "triggers"}
