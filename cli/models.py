"""`cardiosentry models`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.options import setting_options
from contracts.errors import UserError
from contracts.releases import ROLES, Release, Revocation, TrustRoot
from contracts.settings import Settings


@click.group
def command() -> None:
    """Say what is live, since when and by whom. Example: cardiosentry models list"""


@command.command("list")
@setting_options("bootstrap", "topic_prefix", "keys")
def list_(settings: Settings) -> None:
    """List every accepted release, revocation and trust root, the live ones marked.

    \b
    Example:
      cardiosentry models list --bootstrap localhost:9092 --keys keys
    """
    from rich.console import Console
    from rich.table import Table

    from cli.releasing import now_ms, read_releases

    log = read_releases(settings)
    live = {role: found[0] for role in ROLES if (found := log.candidates(role, now_ms=now_ms()))}
    table = Table(box=None, pad_edge=False)
    for column in ("since", "what", "version", "digest", "state", "signed by", "reason"):
        table.add_column(column, overflow="fold")
    for entry in log.entries:
        by = ", ".join(entry.signed_by)
        match entry.statement:
            case Release() as release:
                state = _state(release, release is live.get(release.role), release.digest in log.revoked, now_ms())
                table.add_row(
                    when(release.created_at),
                    release.role,
                    str(release.version),
                    release.digest[:19],
                    state,
                    by,
                    release.reason,
                )
            case Revocation() as revocation:
                table.add_row(
                    when(revocation.created_at), "revocation", "", revocation.digest[:19], "", by, revocation.reason
                )
            case TrustRoot() as root:
                table.add_row(when(root.created_at), "trust root", str(root.version), "", "", by, "")
    Console(width=160 if not Console().is_terminal else None).print(table)


@command.command
@click.argument("digest")
@setting_options("bootstrap", "topic_prefix", "keys", "store")
def show(settings: Settings, digest: str) -> None:
    """Show what is known of a released bundle, as JSON: its statements and its manifest. DIGEST may be cut short.

    \b
    Example:
      cardiosentry models show sha256:43c1 --bootstrap localhost:9092
    """
    import json

    releases, manifest = _find(settings, digest)
    click.echo(json.dumps({"releases": releases, "manifest": manifest}, indent=2))


@command.command
@click.argument("a")
@click.argument("b")
@setting_options("bootstrap", "topic_prefix", "keys", "store")
def diff(settings: Settings, a: str, b: str) -> None:
    """Show how the manifests of two released bundles differ, a line for each value.

    \b
    Example:
      cardiosentry models diff sha256:43c1 sha256:7c29 --bootstrap localhost:9092
    """
    left, right = (dict(_flat(_find(settings, digest)[1] | {"reference_rows": "left out"})) for digest in (a, b))
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            click.echo(f"{name}: {left.get(name, 'absent')} -> {right.get(name, 'absent')}")


def _find(settings: Settings, digest: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from cli.releasing import read_releases
    from models.bundle import MANIFEST_FILE
    from models.store import DirectoryStore

    log = read_releases(settings)
    found = [release for role in ROLES for release in log.releases(role) if release.digest.startswith(digest)]
    if len({release.digest for release in found}) != 1:
        count = len({release.digest for release in found})
        raise UserError(f"{digest}: expected the digest of one released bundle, or its beginning; got {count}")
    (manifest,) = (file for file in found[0].files if file.name == MANIFEST_FILE)
    content = DirectoryStore(Path(settings.store)).get(manifest.sha256, manifest.size)
    return [msgspec.to_builtins(release) for release in found], msgspec.json.decode(content)


def _state(release: Release, live: bool, revoked: bool, now_ms: int) -> str:
    if revoked:
        return "revoked"
    if live:
        return "live"
    return "ended" if now_ms >= release.expires_at else "retired"


def when(at_ms: int) -> str:
    """Return a time in epoch milliseconds for people, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    match value:
        case dict():
            return [pair for key, each in value.items() for pair in _flat(each, f"{path}.{key}" if path else key)]
        case list():
            return [pair for number, each in enumerate(value) for pair in _flat(each, f"{path}[{number}]")]
        case _:
            return [(path, str(value))]
