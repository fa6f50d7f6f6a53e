"""Whether command lines that stand in files could be run."""

import click

from cli.main import cardiosentry


def check_command(arguments: list[str]) -> None:
    """Fail where a command or one of its options does not exist, or takes no such value."""
    context = click.Context(cardiosentry)
    name, rest = "cardiosentry", list(arguments)
    command: click.Command = cardiosentry
    while isinstance(command, click.Group):
        if command.invoke_without_command and (not rest or rest[0].startswith("-")):
            break
        name = rest.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    try:
        command.make_context(name, rest)
    except click.UsageError as error:
        raise AssertionError(f"{name}: {error.format_message()}") from None
