"""The console under load: what those who look at it cost.

CPU time is the console's, user and system, under the same load for any number of viewers.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.cluster import cluster
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, caption, context, write_json
from tests.integration.stream import SteadyLoad, Stream
from tests.support.broker import Broker
from tests.support.console import ConsoleProcess
from tests.support.serving import Serving
from tests.support.site import Site

_WARM_UP_S = 10


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.console --seconds 10")
    arguments.add_argument("--rate", type=float, default=1000, help="events/s meanwhile (default: %(default)s)")
    arguments.add_argument("--seconds", type=float, default=30, help="for each number of viewers")
    arguments.add_argument("--viewers", default="0,1,10,50", help="with commas (default: %(default)s)")
    options = arguments.parse_args()
    with cluster(options.bootstrap) as broker, model(options) as (bundle, keys, scratch), broker.topics() as prefix:
        made = context(broker.version)
        site = Site(bundle, keys, scratch / "store")
        console = ConsoleProcess(site, broker.bootstrap, prefix, scratch / "console.log")
        stream = Stream(Broker(broker.bootstrap, real=True), prefix)
        serving = Serving(site, broker.bootstrap, prefix, scratch / "worker.log")
        with serving, SteadyLoad(stream, site, options.rate):
            serving.start().wait_until_ready()
            with console:
                time.sleep(_WARM_UP_S)
                costs = [
                    asyncio.run(_cost(console, count, options.seconds))
                    for count in map(int, options.viewers.split(","))
                ]
    printed = Console(width=WIDTH)
    printed.print(table(costs))
    printed.print(caption(made), style="dim")
    settings = {"rate": options.rate, "seconds": options.seconds}
    document = {"benchmark": "console", **made, "settings": settings, "viewers": costs}
    printed.print(write_json(options.results, "console", document))


def table(costs: list[dict[str, Any]]) -> Table:
    """Return the costs as a table."""
    rows = Table("viewers", "of a core", "resident", box=None)
    for cost in costs:
        rows.add_row(str(cost["viewers"]), f"{cost['cpu_percent']:.1f}%", f"{cost['memory_mib']:.0f} MiB")
    return rows


async def _cost(console: ConsoleProcess, viewers: int, seconds: float) -> dict[str, Any]:
    """Return the CPU time of the console with so many viewers, who read everything."""
    process = psutil.Process(console.pid)
    received = 0

    async def look(answer: aiohttp.ClientResponse) -> None:
        nonlocal received
        async for part in answer.content.iter_any():
            received += len(part)

    async with AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=None)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        answers = [await stack.enter_async_context(session.get(f"{console.url}/events")) for _ in range(viewers)]
        readers = [asyncio.create_task(look(answer)) for answer in answers]
        await asyncio.sleep(2)  # what each is told at first
        received, before, began = 0, sum(process.cpu_times()[:2]), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - began
        used = sum(process.cpu_times()[:2]) - before
        for reader in readers:
            reader.cancel()
    return {
        "viewers": viewers,
        "cpu_percent": round(100 * used / took, 2),
        "kib_per_s_each": round(received / took / 1024 / max(viewers, 1), 1),
        "memory_mib": round(process.memory_info().rss / 2**20, 1),
    }


if __name__ == "__main__":
    main()
