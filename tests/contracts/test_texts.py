"""Texts that are signed are measured where they are typed, and whoever typed one is told the limit."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from cli.main import cardiosentry
from cli.options import TextOf

SIGNED = {"reason", "note", "text", "to", "signer"}


def parameters(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Parameter]]:
    yield from ((" ".join(path), parameter) for parameter in command.params)
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below
                yield from parameters(below, (*path, name))


def test_every_text_that_is_signed_has_its_limit() -> None:
    found = [(path, each) for path, each in parameters(cardiosentry) if each.name in SIGNED]
    assert len(found) > 15
    assert [(path, each.name) for path, each in found if not isinstance(each.type, TextOf)] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["contain", "block", "st-mary", "--reason", "x" * 1001],
            "'--reason': expected 1 to 1000 characters, got 1001",
        ),
        (["contain", "freeze", "--reason", ""], "'--reason': expected 1 to 1000 characters, got 0"),
        (["incidents", "note", "3f9a", "x" * 2001], "'TEXT': expected 1 to 2000 characters, got 2001"),
        (
            ["incidents", "acknowledge", "3f9a", "--note", "x" * 2001],
            "'--note': expected 0 to 2000 characters, got 2001",
        ),
        (["incidents", "assign", "3f9a", "--to", "x" * 101], "'--to': expected 1 to 100 characters, got 101"),
        (["revoke", "sha256:3f9a", "--reason", "\udcff"], "'--reason': expected UTF-8, got something else"),
    ],
    ids=lambda each: " ".join(each)[:30] if isinstance(each, list) else "",
)
def test_whoever_writes_too_much_or_nothing_is_told_how_much_it_may_be(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(cardiosentry, arguments)
    assert done.exit_code == 2, done.output
    assert said in done.output
