"""The console under load: how late an alert is on the page, and what those who look at it cost.

A client of the event stream, no browser, takes an alert's delay: from just before it is written to Kafka to when its
event is read. CPU time is the console's, user and system, under the same load for any number of viewers.
"""

import asyncio
import json
import random
import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import numpy as np
import psutil
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from benchmarks.cluster import cluster
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, caption, context, write_json
from contracts.alerts import Rule, alert
from contracts.codec import encode
from contracts.topics import SECURITY_ALERTS
from tests.integration.stream import SteadyLoad, Stream
from tests.support.broker import Broker
from tests.support.console import ConsoleProcess
from tests.support.serving import Serving
from tests.support.site import Site

_WARM_UP_S = 10
_GAP_S = 0.1  # between two alerts, on average
_LOST_S = 30
_OURS = "bench/"


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.console --alerts 100 --seconds 10")
    arguments.add_argument("--rate", type=float, default=1000, help="events/s meanwhile (default: %(default)s)")
    arguments.add_argument("--alerts", type=int, default=1000, help="how many (default: %(default)s)")
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
                delays = asyncio.run(_delays(console, stream, options.alerts))
                costs = [
                    asyncio.run(_cost(console, count, options.seconds))
                    for count in map(int, options.viewers.split(","))
                ]
    found = {f"p{share:g}": round(float(np.percentile(delays, share)), 1) for share in (50, 90, 99, 100)}
    printed = Console(width=WIDTH)
    printed.print(table(found, costs))
    printed.print(caption(made), style="dim")
    settings = {"rate": options.rate, "alerts": options.alerts, "seconds": options.seconds}
    document = {"benchmark": "console", **made, "settings": settings, "alert_ms": found, "viewers": costs}
    printed.print(write_json(options.results, "console", document))


def table(delays: dict[str, float], costs: list[dict[str, Any]]) -> Table:
    """Return both as one table."""
    rows = Table("what", "figure", box=None)
    for name, value in delays.items():
        rows.add_row(f"alert on the page, {name}", f"{value:,.0f} ms")
    for cost in costs:
        rows.add_row(
            f"{cost['viewers']} viewers", f"{cost['cpu_percent']:.1f}% of a core, {cost['memory_mib']:.0f} MiB resident"
        )
    return rows


async def _delays(console: ConsoleProcess, stream: Stream, count: int) -> list[float]:
    """Write alerts at random times; return how many ms each took to a viewer."""
    written: dict[str, float] = {}
    seen: dict[str, float] = {}
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"{console.url}/events", read_bufsize=2**20) as answer,
    ):
        reading = asyncio.create_task(_read(answer, seen))
        await asyncio.to_thread(_write, stream, count, written)
        deadline = time.monotonic() + _LOST_S
        while len(seen) < count and time.monotonic() < deadline and not reading.done():
            await asyncio.sleep(0.1)
        if reading.done():
            reading.result()
        reading.cancel()
    if seen.keys() != written.keys():
        raise RuntimeError(f"alerts: expected {count} on the page, got {len(seen)}")
    return [(seen[name] - at) * 1000 for name, at in written.items()]


def _write(stream: Stream, count: int, written: dict[str, float]) -> None:
    draw = random.Random(1)
    producer = Producer({"bootstrap.servers": stream.bootstrap, "linger.ms": 0})
    producer.list_topics(stream.prefix + SECURITY_ALERTS.name, timeout=10)
    for number in range(count):
        time.sleep(draw.expovariate(1 / _GAP_S))
        name = f"{_OURS}{number}"
        built = alert(
            Rule("replayed-events", "Events that came before", "1", ""),
            "Events that came before: 20 of a source",
            at_ms=time.time_ns() // 1_000_000,
            dataset="security",
            severity="high",
            labels={"source": name},
        )
        written[name] = time.monotonic()
        producer.produce(stream.prefix + SECURITY_ALERTS.name, encode(built), b"bench")
        producer.poll(0)
    producer.flush(30)


async def _read(answer: aiohttp.ClientResponse, seen: dict[str, float]) -> None:
    name = b""
    async for line in answer.content:
        if line.startswith(b"event: "):
            name = line[7:].strip()
        elif name == b"new" and line.startswith(b"data: "):
            for shown in json.loads(line[6:]):
                if (source := shown["labels"].get("source", "")).startswith(_OURS):  # detectors tell alerts too
                    seen[source] = time.monotonic()


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
