"""`cardiosentry verify`."""

from pathlib import Path

import click

from cli.options import setting_options
from contracts.settings import Settings


@click.command
@click.argument("bundle", type=click.Path(path_type=Path))
@setting_options("keys")
def command(settings: Settings, bundle: Path) -> None:
    """Verify BUNDLE as a worker does before loading it. Needs no broker and no private key.

    \b
    Example:
      cardiosentry verify bundle --keys keys
    """
    from models.sign import PUBLIC_KEY_FILE
    from models.verify import verify_bundle

    verified = verify_bundle(bundle, Path(settings.keys) / PUBLIC_KEY_FILE)
    manifest = verified.manifest
    click.echo(f"verified {bundle} {manifest.name} {manifest.version} {verified.digest}")
