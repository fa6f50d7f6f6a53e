"""`cardiosentry keys`."""

from pathlib import Path

import click

from cli.options import SIGNER_OPTION, SOURCES_OPTION, checked_source


@click.group
def command() -> None:
    """Make keys. Example: cardiosentry keys generate keys"""


@command.command
@click.argument("directory", type=click.Path(path_type=Path))
@SOURCES_OPTION
@SIGNER_OPTION
@click.option("--encrypt", is_flag=True, help="Encrypt the signing key: asks for a passphrase.")
@click.option("--rotate", multiple=True, metavar="SOURCE", help="Add a newer key for this source beside its old one.")
def generate(directory: Path, sources: tuple[str, ...], signer: str, encrypt: bool, rotate: tuple[str, ...]) -> None:
    """Make every key that a system needs, in DIRECTORY; what is there stays, and a new source gets its key added.

    \b
    Example:
      cardiosentry keys generate keys --source st-mary/icu --source st-mary/ward-7
      cardiosentry keys generate keys --rotate st-mary/icu
    \b
    Who needs which:
      model-signing.key        whoever releases models, nobody else   trust-root.json     every worker
      challenger-signing.key   what retrains unattended               console.token       the console
      reviewers.key            the reviewers of quarantined records   reviewers.pub       every worker
      pipeline.key             whoever trains                         pipeline.pub        whoever collects
      keyring.toml             workers, whoever collects;             pseudonym.key       producers
                               a producer, its own entry
    """
    from cli.keyfiles import generate_keys
    from cli.passphrase import ask

    for source in (*sources, *rotate):
        checked_source(source)
    passphrase = ask(twice=True) if encrypt else None
    for path, made in generate_keys(directory, () if rotate else sources, rotate, signer=signer, passphrase=passphrase):
        click.echo(f"{'made' if made else 'kept'} {path}")
