"""What it costs to be watched: CPU an event of a worker alone, and with a scrape a second and a console of ten viewers.

Pairs of runs, one of each after the other, at full rate; the console's CPU counts as the worker's does, its viewers'
does not. Counting is part of every run: benchmarks/metrics.py has what that costs. What a machine's noise hides in the
pairs, the console's own clock shows: its share of the CPU of its run.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path

import aiohttp
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import load
from benchmarks.cluster import Cluster, cluster
from benchmarks.contenders import UNSIGNED, Contender, Place
from benchmarks.measure import Measurement, measure
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, caption, context, write_json
from benchmarks.rounds import interleave, say
from contracts.topics import EVENTS
from tests.support.console import ConsoleProcess
from tests.support.ports import free_ports
from tests.support.repeating import repeating
from tests.support.serving import get
from tests.support.site import Site

_SCRAPE_S = 1.0
_RESAMPLES = 10_000


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.watched --pairs 2 --events 200000")
    arguments.add_argument("--events", type=int, default=1_000_000, help="in the input topic (default: %(default)s)")
    arguments.add_argument("--pairs", type=int, default=10, help="(default: %(default)s)")
    arguments.add_argument("--viewers", type=int, default=10, help="of the console (default: %(default)s)")
    options = arguments.parse_args()
    with cluster(options.bootstrap) as broker, model(options) as (bundle, keys, scratch), broker.topics() as prefix:
        made = context(broker.version)
        say(f"writing {options.events:,} records …")
        load.preload(broker.bootstrap, prefix + EVENTS.name, options.events, load.events(None))
        once = partial(run, broker, prefix, bundle, keys, scratch, options.events)
        runs = {"alone": partial(once, None), "watched": partial(once, options.viewers)}
        rounds = interleave(runs, options.pairs, lambda found: f"{found.cpu_us_per_event:.2f} µs CPU an event")
    ratios = np.array([each["watched"].cpu_us_per_event / each["alone"].cpu_us_per_event for each in rounds])
    found = summary(ratios)
    watched = [each["watched"] for each in rounds]
    share = float(np.median([each.beside_cpu_us_per_event / each.cpu_us_per_event for each in watched]))
    table = Table("pairs", "CPU an event, watched / alone", "95% interval", "the console's share", box=None)
    interval = f"{found['low']:.3f} to {found['high']:.3f}"
    table.add_row(str(len(ratios)), f"{found['median']:.3f}", interval, f"{share:.1%}")
    printed = Console(width=WIDTH)
    printed.print(table)
    printed.print(caption(made), style="dim")
    settings = {"events": options.events, "pairs": options.pairs, "viewers": options.viewers, "scrape_s": _SCRAPE_S}
    figures = {"ratio": found, "console_share": share, "rounds": rounds}
    document = {"benchmark": "watched", **made, "settings": settings, **figures}
    printed.print(write_json(options.results, "watched", document))


def summary(ratios: np.ndarray) -> dict[str, float]:
    """Return the median of the pairs' ratios with its 95% interval, by bootstrap of the pairs."""
    drawn = np.random.default_rng(1).choice(ratios, (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return {"median": float(np.median(ratios)), "low": float(low), "high": float(high)}


def run(
    broker: Cluster, prefix: str, bundle: Path, keys: Path, scratch: Path, events: int, viewers: int | None
) -> Measurement:
    """Return one run over all events, with the console and its viewers unless `viewers` is None."""
    (port,) = free_ports(1)
    contender = Contender(
        name="cardiosentry", label="", guarantee="exactly once", settings={**UNSIGNED, "web_port": str(port)}
    )
    place = Place(
        bootstrap=broker.bootstrap,
        prefix=prefix,
        group=f"bench-watched-{port}",
        bundle=bundle,
        keys=keys,
        scratch=scratch,
    )
    if viewers is None:
        return measure(contender, place, broker, events)
    site = Site(bundle, keys, scratch / "store")
    console = ConsoleProcess(site, broker.bootstrap, prefix, scratch / "console.log")
    scrape = partial(get, f"http://127.0.0.1:{port}/metrics")
    with console, looking(f"{console.url}/events", viewers), repeating(scrape, _SCRAPE_S):
        return measure(contender, place, broker, events, beside=console.pid)


@contextmanager
def looking(url: str, viewers: int) -> Iterator[None]:
    """Have so many viewers read everything meanwhile."""
    done = threading.Event()

    async def look() -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            answers = [await stack.enter_async_context(session.get(url)) for _ in range(viewers)]
            readers = [asyncio.create_task(_read(answer)) for answer in answers]
            await asyncio.to_thread(done.wait)
            if any(reader.done() for reader in readers):
                raise RuntimeError("the console let a viewer go: what was measured had fewer")
            for reader in readers:
                reader.cancel()

    with ThreadPoolExecutor(1) as pool:
        looked = pool.submit(lambda: asyncio.run(look()))
        try:
            yield
        finally:
            done.set()
        looked.result()


async def _read(answer: aiohttp.ClientResponse) -> None:
    async for _ in answer.content.iter_any():
        pass


if __name__ == "__main__":
    main()
