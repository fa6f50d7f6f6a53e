"""`cardiosentry release`."""

from pathlib import Path

import click

from cli.options import DAYS_OPTION, KEY_OPTION, REASON_OPTION, setting_options
from contracts.releases import ROLES, Role
from contracts.settings import Settings


@click.command
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--role", type=click.Choice(ROLES), required=True, help="What it is to be.")
@REASON_OPTION
@DAYS_OPTION
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys", "store")
def command(settings: Settings, bundle: Path, role: Role, reason: str, days: int, key: Path | None) -> None:
    """Release BUNDLE: put its files into the store, sign the statement, announce it. Workers take it within seconds.

    \b
    Example:
      cardiosentry release bundle --role champion --reason "first model" --bootstrap localhost:9092
    """
    from cli.releasing import release_bundle

    click.echo(release_bundle(settings, bundle, role=role, reason=reason, days=days, key=key))
