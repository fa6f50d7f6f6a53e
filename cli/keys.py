"""`cardiosentry keys`."""

from pathlib import Path

import click

from contracts.errors import UserError
from contracts.identifiers import is_source


@click.group
def command() -> None:
    """Make keys."""


@command.command
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="SOURCE",
    default=("uci", "synthetic"),
    show_default=True,
    help="A source that publishes, site/ward/device; its key covers everything below it. Repeat it.",
)
def generate(directory: Path, sources: tuple[str, ...]) -> None:
    """Make every key that a system needs, in DIRECTORY; keys that are there already stay as they are.

    \b
    Example:
      cardiosentry keys generate keys --source st-mary/icu --source st-mary/ward-7
    \b
    Who needs which:
      model-signing.key   whoever releases models, nobody else   model-signing.pub   every worker
      reviewers.key       the reviewers of quarantined records   reviewers.pub       every worker
      keyring.toml        workers; a producer, its own entry     pseudonym.key       producers
    """
    from cli.keyfiles import generate_keys

    for source in sources:
        if not is_source(source):
            raise UserError(f"option --source: expected site/ward/device in lower case, got {source!r}")
    for path, made in generate_keys(directory, sources):
        click.echo(f"{'made' if made else 'kept'} {path}")
