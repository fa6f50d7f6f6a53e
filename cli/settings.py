"""`cardiosentry settings`."""

import click

from cli.options import ALL_SETTINGS, setting_options
from contracts.settings import Settings, describe, masked


@click.command
@setting_options(*ALL_SETTINGS)
def command(settings: Settings) -> None:
    """Show the settings in force, as TOML, secrets masked: defaults, then the file, the environment, the options.

    \b
    Example:
      cardiosentry settings --config cardiosentry.toml
    """
    import json

    shown = masked(settings)
    kafka = shown.pop("kafka")
    descriptions = describe()
    for name, value in shown.items():
        click.echo(f"# {descriptions[name]}")
        click.echo(f"{name} = {json.dumps(value)}")
    click.echo(f"\n# {descriptions['kafka']}\n[kafka]")
    for name, value in kafka.items():
        click.echo(f"{json.dumps(name)} = {json.dumps(value)}")
