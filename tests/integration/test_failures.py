"""Every failure is one sentence that names what is wrong, and every command shows an example."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import cardiosentry
from tests.integration.stream import Patients, Stream
from tests.support.broker import Broker
from tests.support.ports import free_ports
from tests.support.process import ROOT, launched, run_command
from tests.support.site import Site, release
from tests.support.waiting import wait_for


def is_refused(done: "subprocess.CompletedProcess[str]", *named: str) -> None:
    """Assert exit code 1 and one line `error: …` that names what is wrong."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("error: ")
    assert all(name in errors[0] for name in named), errors[0]


@pytest.fixture(scope="module")
def prefix(kafka: Broker) -> str:
    return kafka.topics("failures")


@pytest.fixture
def serve(kafka: Broker, prefix: str, site: Site, tmp_path: Path) -> list[str]:
    """Return the arguments of a `serve` over a copy of the site's keys in `tmp_path`; spoil that."""
    shutil.copytree(site.keys, tmp_path / "keys")
    paths = [
        "--store",
        str(tmp_path / "store"),
        "--state",
        str(tmp_path / "state"),
        "--keys",
        str(tmp_path / "keys"),
        "--web-port",
        "0",
    ]
    return ["serve", "--bootstrap", kafka.bootstrap, "--topic-prefix", prefix, *paths]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_changed_trust_root_is_refused(serve: list[str], tmp_path: Path, workers: str) -> None:
    file = tmp_path / "keys" / "trust-root.json"
    root = json.loads(file.read_bytes())
    payload = base64.b64decode(root["payload"])
    changed = payload.replace(b'"may_revoke":true', b'"may_revoke":false')
    assert changed != payload
    file.write_text(json.dumps({**root, "payload": base64.b64encode(changed).decode()}))
    is_refused(run_command(*serve, "--workers", workers), f"{file}: trust root 1: expected signatures of 1")


@pytest.mark.parametrize("file", ["trust-root.json", "reviewers.pub", "keyring.toml"])
def test_a_missing_key_is_named(serve: list[str], tmp_path: Path, file: str) -> None:
    (tmp_path / "keys" / file).unlink()
    is_refused(run_command(*serve), str(tmp_path / "keys" / file))


def test_missing_topics_are_named_with_the_command_that_makes_them(serve: list[str]) -> None:
    is_refused(
        run_command(*serve, "--topic-prefix", "nothing-here-"),
        "nothing-here-patient-events",
        "nothing-here-model-alerts",
        "cardiosentry topics create",
    )


@pytest.mark.parametrize("name", ["serve", "tail predictions", "topics create", "produce synthetic"])
def test_a_broker_that_does_not_answer_is_named(site: Site, name: str) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    keys = [] if name.startswith(("tail", "topics")) else ["--keys", str(site.keys)]
    is_refused(run_command(*name.split(), "--bootstrap", address, *keys), address)


def test_a_topic_that_is_not_there_is_named(kafka: Broker) -> None:
    is_refused(run_command("tail", "no-such-topic", "--bootstrap", kafka.bootstrap), "no-such-topic")


CONFIGURATIONS = {
    "unknown setting in a file": ({"config": "worker = 2"}, "worker"),
    "wrong value in a file": ({"config": "workers = 0"}, "workers"),
    "not TOML": ({"config": "workers ="}, "settings.toml"),
    "unknown setting in the environment": ({"CARDIOSENTRY_WORKER": "2"}, "worker"),
    "wrong value in the environment": ({"CARDIOSENTRY_WEB_PORT": "http"}, "web_port"),
    "not a librdkafka property": ({"-X": "no.such.property=1"}, "no.such.property"),
}


@pytest.mark.parametrize(("given", "named"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_wrong_setting_is_named(serve: list[str], tmp_path: Path, given: Mapping[str, str], named: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(given.get("config", ""))
    options = [part for name, value in given.items() if name.startswith("-") for part in (name, value)]
    variables = {name: value for name, value in given.items() if name.isupper()}
    is_refused(run_command(*serve, "--config", str(file), *options, env=variables), named)


WRONG_USAGE = (
    "no-such-command",
    "serve --no-such-option",
    "serve --delivery at-most-once",
    "serve --web-port 70000",
    "serve -X fetch.wait.max.ms",
    "produce csv",
    "tail",
    "demo -x",
)


@pytest.mark.parametrize("arguments", [line.split() for line in WRONG_USAGE], ids=WRONG_USAGE)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = run_command(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Usage: cardiosentry" in done.stderr


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


@pytest.mark.parametrize("path", list(commands(cardiosentry))[1:], ids=" ".join)
def test_the_help_of_every_command_has_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cardiosentry, [*path, "--help"], prog_name="cardiosentry")
    assert result.exit_code == 0
    assert f"Example: cardiosentry {' '.join(path)}" in " ".join(result.output.split())


def test_help_is_quick_to_find_and_names_every_command() -> None:
    done = run_command("--help")
    assert done.returncode == 0
    assert all(path[0] in done.stdout for path in list(commands(cardiosentry))[1:])


def test_fausts_own_command_runs_a_worker_with_settings_from_the_environment(
    kafka: Broker, site: Site, tmp_path: Path
) -> None:
    prefix = kafka.topics("faust")
    release(site, kafka.bootstrap, prefix)
    stream = Stream(kafka, prefix)
    variables = {
        "CARDIOSENTRY_BOOTSTRAP": kafka.bootstrap,
        "CARDIOSENTRY_TOPIC_PREFIX": prefix,
        "CARDIOSENTRY_GROUP": stream.group,
        "CARDIOSENTRY_INSTANCE": "faust",
        "CARDIOSENTRY_STORE": str(site.store),
        "CARDIOSENTRY_STATE": str(tmp_path / "state"),
        "CARDIOSENTRY_KEYS": str(site.keys),
        "CARDIOSENTRY_REQUIRE_MAC": "false",
        "CARDIOSENTRY_WEB_PORT": "0",
        "PYTHONPATH": str(ROOT),
    }
    faust = [str(Path(sys.executable).with_name("faust")), "-A", "stream_app.faust_app", "worker", "-l", "warn"]
    (event,) = Patients(site, seed=8).unsigned(1)
    stream.produce([event])
    log = tmp_path / "log"
    worker = launched([*faust, "--without-web"], log, cwd=tmp_path, env={**os.environ, **variables})
    try:
        wait_for(lambda: stream.is_worked_off() or worker.poll() is not None, 60, log.read_text)
        outputs = stream.outputs(1.0, log.read_text)
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
    finally:
        worker.kill()
        worker.wait()
    assert outputs.event_ids == [event.event_id]
    assert not outputs.predictions[0].authenticated
