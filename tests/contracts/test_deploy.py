"""What is deployed calls commands that exist, with options that they have."""

import re
import shlex
from pathlib import Path

import click
import pytest

from cli.main import cardiosentry

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_jenkins_calls_commands_and_targets_that_exist() -> None:
    text = (DEPLOY / "Jenkinsfile").read_text()
    (called,) = re.findall(r"\.venv/bin/cardiosentry (.*)'", text)
    check_command(shlex.split(called.replace('"$KEYS"', "keys")))
    makefile = (DEPLOY.parent / "Makefile").read_text()
    for target in re.findall(r"sh 'make (.*)'", text)[0].split():
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def check_command(arguments: list[str]) -> None:
    """Fail where a command or one of its options does not exist."""
    context = click.Context(cardiosentry)
    command: click.Command | None = cardiosentry
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        command = command.get_command(context, name)
        assert command is not None, name
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    for argument in arguments:
        if argument.startswith("--"):
            assert argument.partition("=")[0] in known, argument


def test_an_option_that_a_command_does_not_have_is_found() -> None:
    with pytest.raises(AssertionError, match="--never"):
        check_command(["retrain", "--never"])
