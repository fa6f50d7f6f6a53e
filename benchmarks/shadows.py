"""Scoring with 0, 1 and 3 models on trial: what they cost the champion, and how many of the events they get to score.

The events are there before the worker starts, so it never waits: the most that trials can cost. Authentication is off,
where the champion's own time is the shortest.
"""

import uuid
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any, cast

import msgspec
from confluent_kafka import Message
from rich.console import Console
from rich.table import Table

from benchmarks import load, measure
from benchmarks.cluster import Cluster, cluster
from benchmarks.contenders import UNSIGNED, Contender, Place, train
from benchmarks.measure import Measurement, quiet_ends, read_committed
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, bars, caption, context, write_json, write_plot
from benchmarks.rounds import interleave, say
from benchmarks.stats import ratio
from contracts.codec import decoder
from contracts.events import DecodedPrediction
from contracts.settings import Settings
from contracts.topics import EVENTS, SHADOW_PREDICTIONS
from tests.support.embedded import PARTITIONS
from tests.support.site import Site, release

COUNTS = (0, 1, 3)


class Trial(msgspec.Struct, frozen=True):
    """One run: the champion's measurement, and the share of the events that each shadow scored, None without any."""

    champion: Measurement
    scored: float | None


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.shadows --rounds 1 --events 200000")
    arguments.add_argument("--events", type=int, default=1_000_000, help="in the input topic (default: %(default)s)")
    arguments.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    arguments.add_argument(
        "--shadow-share", type=float, default=Settings().shadow_share, help="the setting (default: %(default)s)"
    )
    options = arguments.parse_args()

    with cluster(options.bootstrap) as broker, model(options) as (bundle, keys, scratch), broker.topics() as prefix:
        made = context(broker.version)
        place = Place(broker.bootstrap, prefix, "", bundle, keys, scratch)
        release_shadows(place)
        say(f"writing {options.events:,} records …")
        load.preload(broker.bootstrap, prefix + EVENTS.name, options.events, load.events(None))
        contenders = [contender(count, options.shadow_share) for count in COUNTS]
        runs = {each.name: partial(once, each, place, broker, options.events) for each in contenders}
        rounds = interleave(runs, options.rounds, _told)

    summary = summarise(rounds, contenders)
    settings = {
        "events": options.events,
        "partitions": PARTITIONS,
        "rounds": options.rounds,
        "shadow_share": options.shadow_share,
        "authentication": False,
        "measured": f"committed output by the broker's append time, after the first {measure.WARM_UP:.0%}",
    }
    document = {"benchmark": "shadows", **made, "settings": settings, "summary": summary, "rounds": rounds}
    console = Console(width=WIDTH)
    console.print(table(summary, options.shadow_share))
    console.print(caption(made), style="dim")
    console.print(write_json(options.results, "shadows", document))
    figure = bars(
        [row["title"] for row in summary],
        *([row[name] for row in summary] for name in ("events_per_s", "lowest", "highest")),
        ours=[True] * len(summary),
        what="events per second by the champion (whiskers: slowest and fastest round)",
    )
    console.print(write_plot(options.plots, "shadows", figure, made))


def contender(shadows: int, share: float) -> Contender:
    """Return a worker with as many shadows, which may take `share` of the champion's time."""
    return Contender(
        name=f"cardiosentry-shadows-{shadows}",
        label=f"{shadows} shadow{'s' * (shadows != 1)}",
        guarantee="exactly once",
        settings={"shadows": str(shadows), "shadow_share": str(share), **UNSIGNED},
    )


def release_shadows(place: Place) -> None:
    """Train, sign and release as many different shadows as the most that score at a time."""
    for seed in range(1, max(COUNTS) + 1):
        bundle = place.scratch / f"shadow-{seed}"
        train(bundle, place.keys, "--seed", str(seed))
        release(Site(bundle, place.keys, place.scratch / "store"), place.bootstrap, place.prefix, "shadow")


def once(contender: Contender, place: Place, broker: Cluster, events: int) -> Trial:
    """Run a worker over all events; raise `RuntimeError` where a shadow scored one twice."""
    group = f"bench-{contender.name}-{uuid.uuid4().hex[:8]}"
    topic = place.prefix + SHADOW_PREDICTIONS.name
    start = quiet_ends(broker, topic)
    champion = measure.measure(contender, msgspec.structs.replace(place, group=group), broker, events)
    times, doubled = read_committed(broker, topic, start, quiet_ends(broker, topic), _event_and_model)
    if doubled:
        raise RuntimeError(f"{contender.name}: expected each event once of each shadow, got {doubled} twice")
    shadows = int(contender.settings["shadows"])
    return Trial(champion, len(times) / (events * shadows) if shadows else None)


def summarise(rounds: Sequence[dict[str, Trial]], contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    """Return one row for each contender: medians over the rounds, and medians of the ratios within each round."""
    rates = [{name: found.champion.events_per_s for name, found in each.items()} for each in rounds]
    rows = []
    for contender in contenders:
        found = [each[contender.name] for each in rounds]
        speeds = [each.champion.events_per_s for each in found]
        scored = [each.scored for each in found if each.scored is not None]
        rows.append(
            {
                "name": contender.name,
                "title": contender.title,
                "events_per_s": median(speeds),
                "lowest": min(speeds),
                "highest": max(speeds),
                "cpu_us_per_event": median(each.champion.cpu_us_per_event for each in found),
                "of_none": ratio(rates, contender.name, contenders[0].name),
                "scored": median(scored) if scored else None,
            }
        )
    return rows


def table(summary: Sequence[dict[str, Any]], share: float) -> Table:
    """Return the summary for people."""
    built = Table(title=f"Scoring beside shadows, shadow_share {share:g}, median of the rounds")
    built.add_column("with")
    for column in ("events/s", "lowest-highest", "CPU µs/event", "of none", "of the events each shadow scored"):
        built.add_column(column, justify="right", no_wrap=True)
    for row in summary:
        built.add_row(
            row["title"],
            f"{row['events_per_s']:,.0f}",
            f"{row['lowest']:,.0f}-{row['highest']:,.0f}",
            f"{row['cpu_us_per_event']:.1f}",
            f"{row['of_none']:.2f}",
            "" if row["scored"] is None else f"{row['scored']:.0%}",
        )
    return built


def _told(found: Trial) -> str:
    beside = "" if found.scored is None else f", {found.scored:.0%} of them scored by each shadow"
    return f"{found.champion.events_per_s:,.0f} events/s{beside}"


def _event_and_model(message: Message) -> str:
    prediction = _decode(cast(bytes, message.value()))
    return f"{prediction.event_id} {prediction.model.digest}"


_decode = decoder(DecodedPrediction)


if __name__ == "__main__":
    main()
