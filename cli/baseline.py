"""`cardiosentry baseline`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import KEY_OPTION, REASON_OPTION, setting_options
from contracts.errors import UserError
from contracts.releases import DAY_MS
from contracts.settings import Settings

if TYPE_CHECKING:
    from cli.learning import Learned
    from contracts.reference import ReferenceStatistics

_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
_SHOWN = 8


@click.command
@click.option(
    "--days", type=click.FloatRange(0, min_open=True), default=7, metavar="DAYS", help="How far back to read [7]."
)
@click.option("--from", "since", type=_TIME, metavar="TIME", help="From then instead, UTC (2026-11-23T08:00).")
@click.option("--to", "until", type=_TIME, metavar="TIME", help="Read no further, UTC [now].")
@click.option("--withdraw", is_flag=True, help="Compare with the bundle's own reference again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@REASON_OPTION
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys", "store", "require_mac")
def command(
    settings: Settings,
    days: float,
    since: datetime | None,
    until: datetime | None,
    withdraw: bool,
    yes: bool,
    reason: str,
    key: Path | None,
) -> None:
    """Have drift measured against this hospital's own patients: learn them from patient-events, sign, announce.

    Reads the events between two times of Kafka's, checks them as a worker does and keeps a uniform sample of at most
    100,000 distinct ones. What it learned is shown before it is signed. It holds for the live champion, until the next
    baseline or another champion; workers take it within seconds.

    \b
    Example:
      cardiosentry baseline --reason "first week, no incident" --bootstrap localhost:9092
      cardiosentry baseline --withdraw --reason "an attack was learned" --bootstrap localhost:9092
    """
    from cli.learning import learn, live_champion
    from cli.releasing import now_ms, pending_file, publish, read_releases, signing_key
    from models.baseline import count_patients, make_baseline
    from models.release import sign_baseline

    signer = signing_key(settings, key)
    log = read_releases(settings)
    champion = live_champion(settings, log)
    digest = champion.release.digest
    own = champion.bundle.manifest.reference_statistics
    if own is None:
        raise UserError(f"{digest}: expected a bundle with a reference of its own to begin from, found none in it")
    statistics = None
    if withdraw:
        if log.baseline(digest) is None:
            raise UserError(f"{digest}: expected a baseline to withdraw, found none")
    else:
        until_ms = _ms(until) if until else now_ms()
        learned = learn(settings, champion, _ms(since) if since else until_ms - round(days * DAY_MS), until_ms)
        _show(own, learned, count_patients(learned.events))
        if not yes:
            click.confirm("Sign this?", abort=True)
        statistics = make_baseline(own, champion.bundle.manifest.feature_table, learned.events, learned.score)
    version = log.next_baseline_version(digest)
    statement = sign_baseline(statistics, digest, log, signer, reason=reason, now_ms=now_ms())
    done = f"baseline {version} of {digest}" + ": withdrawn, its own reference holds" * withdraw
    click.echo(publish(settings, log, statement, done, pending_file("baseline", version)))


def _show(own: "ReferenceStatistics", learned: "Learned", patients: int) -> None:
    """Print what was learned, for whoever is to sign it."""
    import numpy as np

    from cli.tables import print_table, when
    from models.baseline import differences

    events = learned.events
    first, last = when(int(events.observed_at.min())), when(int(events.observed_at.max()))
    click.echo(f"{len(events)} events of {patients} patients, observed from {first} to {last}")
    click.echo(f"of {learned.read} records, {learned.refused} of them refused")
    names, counts = np.unique(events.sources.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    print_table(
        (f"source ({len(names)} in all)", "share of events"),
        [(str(names[at]), f"{counts[at] / len(events):.1%}") for at in order],
    )
    click.echo("unlike the model's own patients, in order:")
    print_table(
        ("column", "events in other bins", "most of all", "in the bundle", "here"),
        [
            (each.column, f"{each.moved:.1%}", each.label, f"{each.expected:.1%}", f"{each.seen:.1%}")
            for each in differences(own, events, learned.score)[:_SHOWN]
        ],
    )


def _ms(time: datetime) -> int:
    return round(time.replace(tzinfo=UTC).timestamp() * 1000)
