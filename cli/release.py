"""`cardiosentry release`."""

from pathlib import Path

import click

from cli.options import setting_options
from contracts.releases import ROLES, Role
from contracts.settings import Settings


@click.command
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--role", type=click.Choice(ROLES), required=True, help="What it is to be.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for whoever reads it at night; it is signed.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it may be loaded.")
@click.option("--key", type=click.Path(path_type=Path), metavar="PEM", help="The signing key [the one in --keys].")
@setting_options("bootstrap", "topic_prefix", "keys", "store")
def command(settings: Settings, bundle: Path, role: Role, reason: str, days: int, key: Path | None) -> None:
    """Release BUNDLE: put its files into the store, sign the statement, announce it. Workers take it within seconds.

    \b
    Example:
      cardiosentry release bundle --role champion --reason "first model" --bootstrap localhost:9092
    """
    from cli.releasing import release_bundle

    click.echo(release_bundle(settings, bundle, role=role, reason=reason, days=days, key=key))
