"""What is deployed calls commands that exist, with options that they have."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.commands import check_command
from tests.support.compose import SECURE, services

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_jenkins_calls_commands_and_targets_that_exist() -> None:
    text = (DEPLOY / "Jenkinsfile").read_text()
    (called,) = re.findall(r"\.venv/bin/cardiosentry (.*)'", text)
    check_command(shlex.split(called.replace("$KEYS", "keys")))
    makefile = (DEPLOY.parent / "Makefile").read_text()
    for target in re.findall(r"sh 'make (.*)'", text)[0].split():
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    "line",
    re.findall(r"^\$ \.venv/bin/cardiosentry (.*)$", (DEPLOY.parent / "docs/deploy.md").read_text(), re.MULTILINE),
)
def test_what_a_person_types_exists(line: str) -> None:
    check_command(shlex.split(line))


def test_what_is_said_of_services_is_of_those_that_are_there() -> None:
    text = (DEPLOY.parent / "docs/deploy.md").read_text()
    lines = re.findall(r"docker compose (?:up -d|restart)(?: --no-deps)?((?: [a-z-]+)+)", text)
    named = {name for line in lines for name in line.split()}
    assert len(named) > 10
    assert named <= services(SECURE).keys()


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["retrain", "--never"], "--never"),
        (["never"], "never"),
        (["serve", "--workers"], "requires an argument"),
        (["ship", "--never"], "--never"),
        (["rescan", "--within"], "--within"),
    ],
    ids=str,
)
def test_what_could_not_be_called_is_found(arguments: list[str], wrong: str) -> None:
    with pytest.raises(AssertionError, match=wrong):
        check_command(arguments)
