"""Throughput of CardioSentry, of a plain loop and of its peers, on one broker, in interleaved rounds."""

import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks import floor, load, measure
from benchmarks.cluster import Cluster, cluster
from benchmarks.contenders import CONTENDERS, Contender, Input, Place
from benchmarks.environments import python_of
from benchmarks.events import EventMaker
from benchmarks.measure import Measurement
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, bars, caption, context, write_json, write_plot
from benchmarks.rounds import interleave, say
from benchmarks.stats import ratio
from contracts.topics import EVENTS
from tests.support.embedded import PARTITIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Round = dict[str, Measurement]


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.throughput --rounds 1 --events 200000 --only floor,quix")
    arguments.add_argument("--events", type=int, default=1_000_000, help="in the input topic (default: %(default)s)")
    arguments.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    names = [contender.name for contender in CONTENDERS]
    arguments.add_argument("--only", default=",".join(names), help="contenders, with commas (default: %(default)s)")
    options = arguments.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(names):
        arguments.error(f"--only: expected some of {', '.join(names)}; got {', '.join(unknown)}")
    contenders = [contender for contender in CONTENDERS if contender.name in chosen]
    for contender in contenders:
        if contender.peer:
            python_of(contender.peer)

    with cluster(options.bootstrap) as broker, model(options) as (bundle, keys, scratch):
        made = context(broker.version)
        rounds = run(
            broker,
            contenders,
            events=options.events,
            rounds=options.rounds,
            bundle=bundle,
            keys=keys,
            scratch=scratch,
        )

    summary = summarise(rounds, contenders)
    settings = {
        "events": options.events,
        "event_bytes": len(EventMaker().record(0, 1_700_000_000_000)[1]),
        "partitions": PARTITIONS,
        "rounds": options.rounds,
        "commit_interval_ms": int(floor.COMMIT_INTERVAL_S * 1000),
        "compression": "lz4 (Faust as it ships: none)",
        "measured": f"committed output by the broker's append time, after the first {measure.WARM_UP:.0%}",
    }
    document = {"benchmark": "throughput", **made, "settings": settings, "summary": summary, "rounds": rounds}
    console = Console(width=WIDTH)
    console.print(table(summary))
    console.print(caption(made), style="dim")
    console.print(write_json(options.results, "throughput", document))
    console.print(write_plot(options.plots, "throughput", plot(summary), made))


def run(
    broker: Cluster,
    contenders: Sequence[Contender],
    *,
    events: int,
    rounds: int,
    bundle: Path,
    keys: Path,
    scratch: Path,
) -> list[Round]:
    """Fill the input topics, then let every contender run once a round; return the rounds."""
    with ExitStack() as topics:
        prefixes: dict[Input, str] = {}
        records = {
            "unsigned": load.events(None),
            "signed": load.events(load.signing_key(keys)),
            "garbage": load.garbage(),
        }
        for kind in dict.fromkeys(contender.input for contender in contenders):
            prefixes[kind] = topics.enter_context(broker.topics())
            say(f"writing {events:,} records, {kind} …")
            load.preload(broker.bootstrap, prefixes[kind] + EVENTS.name, events, records[kind])

        def once(contender: Contender) -> Measurement:
            place = Place(
                bootstrap=broker.bootstrap,
                prefix=prefixes[contender.input],
                group=f"bench-{contender.name}-{uuid.uuid4().hex[:8]}",
                bundle=bundle,
                keys=keys,
                scratch=scratch,
            )
            return measure.measure(contender, place, broker, events)

        runs = {contender.name: partial(once, contender) for contender in contenders}
        return interleave(runs, rounds, lambda found: f"{found.events_per_s:,.0f} events/s")


def summarise(rounds: Sequence[Round], contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    """Return one row for each contender: medians over the rounds, and medians of the ratios within each round."""
    rates = [{name: found.events_per_s for name, found in each.items()} for each in rounds]
    rows = []
    for contender in contenders:
        found = [each[contender.name] for each in rounds]
        speeds = [each.events_per_s for each in found]
        rows.append(
            {
                "name": contender.name,
                "title": contender.title,
                "guarantee": contender.guarantee,
                "events": found[0].events,
                "events_per_s": median(speeds),
                "lowest": min(speeds),
                "highest": max(speeds),
                "cpu_us_per_event": median(each.cpu_us_per_event for each in found),
                "of_floor": ratio(rates, contender.name, "floor"),
                "cardiosentry_times": ratio(rates, "cardiosentry", contender.name),
            }
        )
    return rows


def table(summary: Sequence[dict[str, Any]]) -> Table:
    """Return the summary for people."""
    built = Table(title="Throughput, median of the rounds")
    built.add_column("who, guarantee")
    for column in ("events/s", "lowest-highest", "CPU µs/event", "of the floor", "ours / it", "events"):
        built.add_column(column, justify="right", no_wrap=True)
    for row in summary:
        built.add_row(
            f"{row['title']}, {row['guarantee']}",
            f"{row['events_per_s']:,.0f}",
            f"{row['lowest']:,.0f}-{row['highest']:,.0f}",
            f"{row['cpu_us_per_event']:.1f}",
            "" if row["of_floor"] is None else f"{row['of_floor']:.2f}",
            "" if row["cardiosentry_times"] is None else f"{row['cardiosentry_times']:.2f}",
            f"{row['events']:,}",
        )
    return built


def plot(summary: Sequence[dict[str, Any]]) -> "Figure":
    """Return bars of events per second, with the lowest and the highest round."""
    return bars(
        [f"{row['title']}\n{row['guarantee']}" for row in summary],
        *([row[name] for row in summary] for name in ("events_per_s", "lowest", "highest")),
        ours=[row["name"].startswith("cardiosentry") for row in summary],
        what="events per second (whiskers: slowest and fastest round)",
    )


if __name__ == "__main__":
    main()
