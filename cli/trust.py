"""`cardiosentry trust`."""

from collections.abc import Callable
from pathlib import Path

import click

from cli.options import KEY_OPTION, setting_options
from contracts.errors import UserError
from contracts.releases import ROLES, Role, TrustRoot
from contracts.settings import Settings


@click.group
def command() -> None:
    """Say who may release what, and change it while workers run. Example: cardiosentry trust show"""


@command.command
@setting_options("bootstrap", "topic_prefix", "keys")
def show(settings: Settings) -> None:
    """Show the trust root in force: the one in the directory of keys, or what followed it on model-releases.

    \b
    Example:
      cardiosentry trust show --bootstrap localhost:9092 --keys keys
    """
    from rich.console import Console
    from rich.table import Table

    from cli.models import when
    from cli.releasing import read_releases

    root = read_releases(settings).trust.root
    click.echo(f"trust root {root.version}, until {when(root.expires_at)}")
    table = Table(box=None, pad_edge=False)
    for column in ("signer", "kind", "may release", "may revoke", "signs roots", "key"):
        table.add_column(column, overflow="fold")
    for key, signer in root.signers.items():
        may = (", ".join(signer.roles), "yes" * signer.may_revoke, "yes" * (key in root.root_signers))
        table.add_row(signer.name, signer.kind, *may, key[:12])
    Console().print(table)


@command.command
@click.argument("name")
@click.option("--public-key", type=click.Path(path_type=Path), required=True, metavar="PEM", help="Of a P-256 key.")
@click.option(
    "--role", "roles", type=click.Choice(ROLES), multiple=True, help="What the signer may release; repeat it."
)
@click.option("--unattended", is_flag=True, help="A key that no person holds; it may release no champion.")
@click.option("--may-revoke", is_flag=True, help="The signer may take models away.")
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def add(
    settings: Settings,
    name: str,
    public_key: Path,
    roles: tuple[Role, ...],
    unattended: bool,
    may_revoke: bool,
    key: Path | None,
) -> None:
    """Let NAME release: announce the next trust root with one signer more. Workers take it within seconds.

    \b
    Example:
      cardiosentry trust add pipeline --public-key pipeline.pub --role shadow --role challenger --unattended
    """
    from models.roots import with_signer

    try:
        pem = public_key.read_text()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{public_key}: expected a public key in PEM") from None

    _announce_next(
        settings, key, lambda root: with_signer(root, name, pem, roles, unattended=unattended, may_revoke=may_revoke)
    )


@command.command
@click.argument("name")
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def remove(settings: Settings, name: str, key: Path | None) -> None:
    """Let NAME release no more: announce the next trust root without that signer.

    What the signer released before stays; `cardiosentry revoke` takes a model away.

    \b
    Example:
      cardiosentry trust remove pipeline
    """
    from models.roots import without_signer

    _announce_next(settings, key, lambda root: without_signer(root, name))


def _announce_next(settings: Settings, key: Path | None, change: Callable[[TrustRoot], TrustRoot]) -> None:
    from cli.releasing import announce, now_ms, read_releases, signing_key
    from models.roots import sign_next

    signer = signing_key(settings, key)
    log = read_releases(settings)
    announce(settings, log, sign_next(change(log.trust.root), signer, now_ms=now_ms()))
    click.echo(f"trust root {log.trust.root.version}: {', '.join(s.name for s in log.trust.root.signers.values())}")
