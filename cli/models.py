"""`cardiosentry models`."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import click
import msgspec

from cli.options import setting_options
from cli.placement import Placement
from contracts.errors import UserError
from contracts.settings import Settings
from models.lifecycle import Transition
from models.release_log import Entry

_STATISTICS = "reference_statistics"


@click.group
def command() -> None:
    """Say what is live, since when and by whom. Example: cardiosentry models list"""


@command.command("list")
@setting_options("bootstrap", "topic_prefix", "keys", "shadows")
def list_(settings: Settings) -> None:
    """List every model with its stage, since when, who signed it and where it scored last; those in use first.

    \b
    Example:
      cardiosentry models list --bootstrap localhost:9092 --keys keys
    """
    from cli.placement import placements
    from cli.releasing import now_ms, read_releases
    from cli.tables import print_table, when
    from models.lifecycle import standings

    log = read_releases(settings)
    now, scored = now_ms(), placements(settings)
    rows = []
    for each in standings(log, shadows=settings.shadows):
        release = each.release
        rows.append(
            (
                f"{each.stage} {release.version}" if release else each.stage,
                when(each.entry.at_ms),
                ("ended " * (now >= release.expires_at) + when(release.expires_at)[:10]) if release else "",
                _where(scored[each.digest], now) if each.digest in scored and release else "",
                each.digest[:19],
                ", ".join(each.entry.signed_by),
                each.entry.reason,
            )
        )
    print_table(("stage", "since", "until", "scored last", "digest", "signed by", "reason"), rows)


@command.command
@click.argument("digest", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@setting_options("bootstrap", "topic_prefix", "keys", "shadows")
def timeline(settings: Settings, digest: str | None, as_json: bool) -> None:
    """Show every signed statement and what each did to the models' stages, oldest first: the audit trail.

    DIGEST, which may be cut short, shows one model's. A transition that skipped a stage is marked "!".

    \b
    Example:
      cardiosentry models timeline --bootstrap localhost:9092
    """
    from cli.releasing import read_releases
    from cli.tables import print_json, print_table
    from models.lifecycle import trail

    log = read_releases(settings)
    changes: dict[int, list[Transition]] = {}
    for transition in trail(log.entries, shadows=settings.shadows):
        changes.setdefault(id(transition.entry), []).append(transition)
    columns = ("time", "statement", "model", "from", "to", "skipped", "signed by", "reason")
    rows = [
        row
        for entry in log.entries
        for row in _timeline_rows(entry, changes.get(id(entry), []))
        if digest is None or row[2].removeprefix("sha256:").startswith(digest.removeprefix("sha256:"))
    ]
    if digest and not rows:
        raise UserError(
            f"{digest}: expected the digest of a bundle that a statement names, or its beginning, found none"
        )
    if as_json:
        for row in rows:
            print_json(dict(zip(columns, row, strict=True)))
    else:
        print_table(columns, [(*row[:2], row[2][:19], *row[3:]) for row in rows])


@command.command
@click.argument("digest")
@setting_options("bootstrap", "topic_prefix", "keys", "store")
def show(settings: Settings, digest: str) -> None:
    """Show what is known of a released bundle, as JSON: its statements and its manifest. DIGEST may be cut short.

    \b
    Example:
      cardiosentry models show sha256:dab3 --bootstrap localhost:9092
    """
    import json

    releases, manifest = _find(settings, digest)
    click.echo(json.dumps({"releases": releases, "manifest": manifest}, indent=2))


@command.command
@click.argument("a")
@click.argument("b")
@click.option("--all", "every", is_flag=True, help="Also how the statistics of their reference patients differ.")
@setting_options("bootstrap", "topic_prefix", "keys", "store")
def diff(settings: Settings, a: str, b: str, every: bool) -> None:
    """Show how the manifests of two released bundles differ, a line for each value. A and B may be cut short.

    \b
    Example:
      cardiosentry models diff sha256:dab3 sha256:e338 --bootstrap localhost:9092
    """
    left, right = (dict(_flat(_find(settings, digest)[1] | {"reference_rows": "left out"})) for digest in (a, b))
    differ = [name for name in sorted(left.keys() | right.keys()) if left.get(name) != right.get(name)]
    told = [name for name in differ if every or not name.startswith(f"{_STATISTICS}.")]
    for name in told:
        click.echo(f"{name}: {left.get(name, 'absent')} -> {right.get(name, 'absent')}")
    if len(told) < len(differ):
        click.echo(f"{_STATISTICS}: {len(differ) - len(told)} of its values; --all shows them")


def _find(settings: Settings, digest: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from cli.releasing import every_release, read_releases, released_digest
    from models.bundle import MANIFEST_FILE
    from models.store import fetch_file, open_store

    releases = every_release(read_releases(settings))
    wanted = released_digest(digest, releases)
    found = [release for release in releases if release.digest == wanted]
    content = fetch_file(open_store(settings.store), found[0], MANIFEST_FILE)
    return [msgspec.to_builtins(release) for release in found], msgspec.json.decode(content)


def _timeline_rows(entry: Entry, changes: Sequence[Transition]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each model that a statement moved; one row for a statement that moved none."""
    from cli.tables import when

    head, tail = (when(entry.at_ms), entry.what), (", ".join(entry.signed_by), entry.reason)
    for change in changes:
        yield (*head, change.digest, change.before or "", change.after, "" if change.by_the_table else "!", *tail)
    if not changes:
        yield (*head, entry.digest, "", "", "", *tail)


def _where(place: Placement, now_ms: int) -> str:
    """Return on how many partitions a model scored last, and how long ago: "12 partitions, 0:00:03 ago"."""
    age = timedelta(seconds=max(0, now_ms - place.last_ms) // 1000)
    return f"{len(place.partitions)} partition{'s' * (len(place.partitions) != 1)}, {age} ago"


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    match value:
        case dict():
            return [pair for key, each in value.items() for pair in _flat(each, f"{path}.{key}" if path else key)]
        case list():
            return [pair for number, each in enumerate(value) for pair in _flat(each, f"{path}[{number}]")]
        case _:
            return [(path, str(value))]
