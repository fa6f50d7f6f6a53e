"""`cardiosentry trust`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from cli.options import KEY_OPTION, TextOf, setting_options
from contracts.errors import UserError
from contracts.releases import ROLES, TEXT_CHARS, Role, TrustRoot
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
    from cli.releasing import read_releases
    from cli.tables import print_table, when

    root = read_releases(settings).trust.root
    needed = ", ".join(
        f"{policy.threshold} for a {role}" + "".join(f" with {each}" for each in policy.attestations)
        for role, policy in root.roles.items()
    )
    click.echo(f"trust root {root.version}, until {when(root.expires_at)}")
    click.echo(f"signers needed: {needed}, {root.root_threshold} for the next trust root")
    print_table(
        ("signer", "kind", "may release", "may revoke", "signs roots", "key"),
        [
            (
                signer.name,
                signer.kind,
                ", ".join(signer.roles),
                "yes" * signer.may_revoke,
                "yes" * (key in root.root_signers),
                key[:12],
            )
            for key, signer in root.signers.items()
        ],
    )


@command.command
@click.argument("name", type=TextOf(TEXT_CHARS))
@click.option("--public-key", type=click.Path(path_type=Path), required=True, metavar="PEM", help="Of a P-256 key.")
@click.option(
    "--role", "roles", type=click.Choice(ROLES), multiple=True, help="What the signer may release; repeat it."
)
@click.option("--unattended", is_flag=True, help="A key that no person holds; it may release no champion.")
@click.option("--may-revoke", is_flag=True, help="The signer may take models away.")
@click.option("--signs-roots", is_flag=True, help="The signer may change the trust root.")
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def add(
    settings: Settings,
    name: str,
    public_key: Path,
    roles: tuple[Role, ...],
    unattended: bool,
    may_revoke: bool,
    signs_roots: bool,
    key: Path | None,
) -> None:
    """Let NAME release: announce the next trust root with one signer more. Workers take it within seconds.

    \b
    Example:
      cardiosentry trust add Bob --public-key bob/model-signing.pub --role champion --may-revoke
      cardiosentry trust add retraining --public-key keys/challenger-signing.pub --role challenger --unattended
    """
    from models.roots import with_signer

    try:
        pem = public_key.read_text()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{public_key}: expected a public key in PEM") from None

    _announce_next(
        settings,
        key,
        lambda root: with_signer(
            root, name, pem, roles, unattended=unattended, may_revoke=may_revoke, signs_roots=signs_roots
        ),
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
      cardiosentry trust remove retraining
    """
    from models.roots import without_signer

    _announce_next(settings, key, lambda root: without_signer(root, name))


@command.command
@click.argument("what", type=click.Choice((*ROLES, "roots")))
@click.argument("count", type=click.IntRange(1, 16))
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def threshold(settings: Settings, what: Role | Literal["roots"], count: int, key: Path | None) -> None:
    """Want COUNT signers for each release of a role, or for each change of the trust root itself.

    \b
    Example:
      cardiosentry trust threshold champion 2
    """
    from models.roots import with_threshold

    _announce_next(settings, key, lambda root: with_threshold(root, what, count))


@command.command
@click.argument("role", type=click.Choice(ROLES))
@click.option("--wanted/--not-wanted", default=True, help="Whether it is a must from now on  [wanted]")
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def provenance(settings: Settings, role: Role, wanted: bool, key: Path | None) -> None:
    """Want a whole chain of provenance in each bundle that is released in a role: only the pipeline makes one.

    A bundle with a hole in its chain is then refused by every worker, whoever signed its release.

    \b
    Example:
      cardiosentry trust provenance champion
    """
    from models.provenance import PROVENANCE
    from models.roots import with_attestation

    _announce_next(settings, key, lambda root: with_attestation(root, role, PROVENANCE, wanted=wanted))


def _announce_next(settings: Settings, key: Path | None, change: Callable[[TrustRoot], TrustRoot]) -> None:
    from cli.releasing import now_ms, pending_file, publish, read_releases, signing_key
    from models.roots import sign_next

    signer = signing_key(settings, key)
    log = read_releases(settings)
    version = log.trust.root.version + 1
    following = change(log.trust.root)
    done = f"trust root {version}: {', '.join(each.name for each in following.signers.values())}"
    statement = sign_next(following, signer, now_ms=now_ms())
    click.echo(publish(settings, log, statement, done, pending_file("trust-root", version)))
