"""From live outcomes to a better model on a real Kafka: through every gate, or stopped at one that says why."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from cli.main import cardiosentry
from cli.releasing import read_releases, release_bundle
from cli.retrain import EXIT_REFUSED
from contracts.errors import ModelRejected
from contracts.releases import Release, Step
from contracts.settings import Settings
from contracts.topics import EVENTS, SECURITY_ALERTS
from models.bom import BOM_FILE, bill_of_materials
from models.dsse import open_envelope, signers_of
from models.pipeline.policy import default_text
from models.provenance import MAX_BYTES, Statement, chain, file_of
from models.verify import read_bundle
from producers.replay import replay
from producers.sign import Signer
from tests.contracts.test_alerts import assert_ecs
from tests.integration.stream import Stream
from tests.support.broker import Broker
from tests.support.prometheus import Pushgateway
from tests.support.reading import read_topic
from tests.support.serving import Serving, get
from tests.support.site import Site
from tests.support.waiting import wait_for

CHANGES = {
    "required": '["notebooks", "artefacts"]',  # what needs a network or a build has tests of its own
    "site_parts": "2",  # uci/cleveland
    "settle_s": "0",
    "folds": "2",
}


def policy(path: Path, **limits: str) -> Path:
    """Write the shipped policy with `CHANGES` and `limits` in place of the lines of those names."""
    lines = default_text().splitlines()
    for name, value in {**CHANGES, **limits}.items():
        (at,) = (at for at, line in enumerate(lines) if line.startswith(f"{name} ="))
        lines[at] = f"{name} = {value}"
    path.write_text("\n".join(lines))
    return path


@dataclass
class System:
    """A worker that scored patients whose outcomes came."""

    serving: Serving
    settings: Settings
    directory: Path

    def retrain(self, *arguments: str, policy_file: Path) -> Result:
        (self.directory / "source").mkdir(exist_ok=True)
        (self.directory / "source" / "model.py").write_text("ANSWER = 42\n")
        settings = {
            "--bootstrap": self.settings.bootstrap,
            "--topic-prefix": self.settings.topic_prefix,
            "--keys": self.settings.keys,
            "--store": self.settings.store,
            "--runs": str(self.directory / "runs"),
            "--source": str(self.directory / "source"),
            "--policy": str(policy_file),
        }
        options = [part for option in settings.items() for part in option]
        return CliRunner().invoke(cardiosentry, ["retrain", "--json", *options, *arguments])

    def run(self, *arguments: str) -> str:
        options = [f"--bootstrap={self.settings.bootstrap}", f"--topic-prefix={self.settings.topic_prefix}"]
        done = CliRunner().invoke(cardiosentry, [*arguments, *options, f"--keys={self.settings.keys}"])
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.output


@pytest.fixture(scope="module")
def system(kafka: Broker, site: Site, tmp_path_factory: pytest.TempPathFactory) -> System:
    prefix, directory = kafka.topics("retrain"), tmp_path_factory.mktemp("retrain")
    stream, signer = Stream(kafka, prefix), Signer(site.keyring)
    own = Site(site.bundle, site.keys, directory / "store")
    serving = Serving(own, kafka.bootstrap, prefix, directory / "log")
    serving.start().wait_until_ready()
    patients = replay(pseudonym_key=site.pseudonym_key, outcome_delay_s=0, seed=7)
    records = [
        msgspec.structs.replace(made, headers=signer.headers(made.source, made.key, made.value), delay_s=0)
        for made in patients.take(1000, time.time_ns() // 1_000_000)
    ]
    for events in (True, False):  # outcomes after what they are of
        stream.produce([record for record in records if (record.topic is EVENTS) == events])
        wait_for(stream.is_worked_off, 60, serving.text)
    settings = Settings(bootstrap=kafka.bootstrap, topic_prefix=prefix, keys=str(site.keys), store=str(own.store))
    return System(serving, settings, directory)


def test_outcomes_become_a_challenger_with_its_whole_provenance_that_a_person_makes_champion(
    system: System, tmp_path: Path
) -> None:
    done = system.retrain(policy_file=policy(tmp_path / "policy.toml"))
    assert done.exit_code == 0, done.output + str(done.exception)
    account = json.loads(done.stdout)
    assert account["verdict"] == "released"
    assert account["steps"]["collect"]["report"]["facts"]["rows"] == 920
    run = system.directory / "runs" / account["run"]["id"]
    html = (run / "report.html").read_text()
    assert "membership inference" in html
    assert "least_auc = 0.80" in html
    assert html.count("data:image/svg+xml") == 2  # calibration; ROC, confusion and recall by site

    log = read_releases(system.settings)
    stages = [entry.statement.stage for entry in log.entries if isinstance(entry.statement, Step)]
    assert stages[-3:] == ["candidate", "gated", "stored"]
    release = log.entries[-1].statement
    assert isinstance(release, Release)
    assert (release.role, release.attestations) == ("challenger", ("provenance",))
    files = read_bundle(run / "bundle")
    assert [link.fault for link in chain(files, log.trust.keys)] == [""] * 6
    stated = open_envelope((run / "sign" / file_of("sign")).read_bytes(), max_bytes=MAX_BYTES)
    assert signers_of(stated, log.trust.keys)
    bom = bill_of_materials(files)
    subjects = msgspec.json.decode(stated.payload, type=Statement).subjects
    assert subjects[BOM_FILE] == hashlib.sha256(bom).hexdigest()
    assert (run / "sign" / BOM_FILE).read_bytes() == bom

    system.run("trust", "provenance", "champion")
    with pytest.raises(ModelRejected, match="provenance of collect: expected a statement"):
        release_bundle(
            system.settings, Path(str(system.settings.keys)).parent / "bundle", role="champion", reason="", days=1
        )
    release_bundle(system.settings, run / "bundle", role="champion", reason="it passed", days=30)
    wait_for(lambda: release.digest in champion_of(system.serving), 30, system.serving.text)
    assert system.serving.exits() == []


def champion_of(serving: Serving, slot: int = 0) -> str:
    lines = serving.get("/metrics", slot)[1].splitlines()
    return "".join(line for line in lines if line.startswith("cardiosentry_model_info{") and "champion" in line)


def test_a_gate_that_says_no_says_why_and_releases_nothing(
    system: System, pushgateway: Pushgateway, tmp_path: Path
) -> None:
    before = len(read_releases(system.settings).entries)
    gateway = f"--pushgateway={pushgateway.address}"
    done = system.retrain(gateway, policy_file=policy(tmp_path / "policy.toml", least_rows="100_000"))
    assert done.exit_code == EXIT_REFUSED, done.output + str(done.exception)
    account = json.loads(done.stdout)
    assert account["verdict"] == "gate-1 said no"
    (rows,) = (check for check in account["steps"]["collect"]["report"]["checks"] if check["name"] == "rows")
    assert (rows["verdict"], rows["limit"]) == ("fail", "at least 100000")
    assert "Wait for more outcomes" in rows["advice"]
    pushed = get(f"http://{pushgateway.address}/metrics")[1]
    of = f'group="{system.settings.group}",instance="",job="cardiosentry-retrain"'
    assert f'cardiosentry_retrain_finished_timestamp_seconds{{{of},verdict="refused"}}' in pushed
    assert f'cardiosentry_retrain_step_passed{{{of},step="gate-1"}} 0\n' in pushed
    assert len(read_releases(system.settings).entries) == before


def test_what_is_live_is_scanned_again_and_what_is_new_is_an_alert_once(system: System, tmp_path: Path) -> None:
    source, state = tmp_path / "source", tmp_path / "state" / "rescan.json"
    source.mkdir()
    (source / "notes.ipynb").write_text(notebook("print(1)"))
    policy_file = policy(tmp_path / "policy.toml")

    def rescan() -> Result:
        settings = {
            "--bootstrap": system.settings.bootstrap,
            "--topic-prefix": system.settings.topic_prefix,
            "--keys": system.settings.keys,
            "--store": system.settings.store,
            "--source": str(source),
            "--state": str(state),
            "--policy": str(policy_file),
        }
        return CliRunner().invoke(cardiosentry, ["rescan", *(part for option in settings.items() for part in option)])

    def alerts() -> list[dict[str, Any]]:
        topic = system.settings.topic_prefix + SECURITY_ALERTS.name
        found = [
            json.loads(record.value or b"") for record in read_topic(system.settings.bootstrap, topic, timeout_s=30)
        ]
        return [each for each in found if each["rule"]["id"] == "rescan-finding"]

    clean = rescan()
    assert clean.exit_code == 0, clean.output + str(clean.exception)
    assert alerts() == []
    (source / "notes.ipynb").write_text(notebook("print(patient)", "Jane Doe, born 1961-04-03, 555-12-3456"))
    for _ in range(2):
        done = rescan()
        assert done.exit_code == EXIT_REFUSED, done.output + str(done.exception)
    told = alerts()
    assert len({each["event"]["id"] for each in told}) == len(told) >= 1
    assert {each["labels"]["check"] for each in told} == {"notebooks"}
    for each in told:
        assert_ecs(each)
        assert "Jane" not in json.dumps(each)


def notebook(code: str, output: str = "") -> str:
    cell = {
        "cell_type": "code",
        "execution_count": 1,
        "id": "a1",
        "metadata": {},
        "source": code,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": output}] if output else [],
    }
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
