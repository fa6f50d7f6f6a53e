"""`cardiosentry sign`."""

from pathlib import Path

import click

from cli.options import KEY_OPTION, setting_options
from contracts.settings import Settings


@click.command
@click.argument("directory", type=click.Path(path_type=Path))
@KEY_OPTION
@setting_options("keys")
def command(settings: Settings, directory: Path, key: Path | None) -> None:
    """Vouch for the CSV file in DIRECTORY, so that `retrain --from-csv` takes it: writes model.sig beside it.

    DIRECTORY holds the file and nothing else. Its columns are those of the UCI table, or one for each feature, `site`
    and `diagnosis` (0 or 1). What `retrain` would refuse is not signed. Needs no broker.

    \b
    Example:
      cardiosentry sign november --keys keys
    """
    from cli.passphrase import passphrase_of
    from cli.releasing import now_ms
    from models.pipeline.signed_csv import sign_csv
    from models.roots import read_root
    from models.sign import PRIVATE_KEY_FILE

    path = key or Path(settings.keys) / PRIVATE_KEY_FILE
    trust = read_root(Path(settings.keys))
    signed = sign_csv(directory, path, passphrase_of(path), trust, now_ms=now_ms())
    repeated = f", {signed.repeated} of which repeat another and will be left out" if signed.repeated else ""
    click.echo(f"signed {signed.path} as {signed.signed_by}: {signed.rows} rows{repeated}")
