"""`cardiosentry train`."""

from pathlib import Path

import click

from cli.options import setting_options
from contracts.settings import Settings


@click.command
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="BUNDLE", help="Directory to write.")
@click.option("--data", type=click.Path(path_type=Path), metavar="CSV", help="Patients in the UCI format [the 920].")
@click.option("--seed", type=click.IntRange(0), default=None, help="The same data and seed give the same digest.")
@setting_options("keys")
def command(settings: Settings, out: Path, data: Path | None, seed: int | None) -> None:
    """Train a calibrated model, export it, check the export row by row, and sign the bundle. Needs no broker.

    \b
    Example:
      cardiosentry train --out bundle --keys keys
    """
    from cli.passphrase import passphrase_of
    from models.sign import PRIVATE_KEY_FILE
    from models.train import train_bundle

    chosen = {name: value for name, value in (("data", data), ("seed", seed)) if value is not None}
    key = Path(settings.keys) / PRIVATE_KEY_FILE
    passphrase = passphrase_of(key)
    digest = train_bundle(out, key, passphrase=passphrase, progress=lambda line: click.echo(line, err=True), **chosen)  # type: ignore[arg-type]
    click.echo(f"{out} {digest}")
