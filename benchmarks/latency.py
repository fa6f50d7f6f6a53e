"""Latency under open-loop load: from when an event is due to a read_committed consumer that sees its prediction."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import floor, generate, load
from benchmarks.cluster import cluster
from benchmarks.contenders import CONTENDERS, Contender, Place, running
from benchmarks.environments import ROOT
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, caption, context, write_json, write_plot
from benchmarks.stats import latencies_ms
from contracts.topics import EVENTS, PREDICTIONS
from tests.support.embedded import PARTITIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCENTILES = (50, 99, 99.9)
DEFAULT = "floor,cardiosentry,cardiosentry-authenticated"

_WARM_UP_S = 5
_UNCOUNTED_S = 40
_LEAD_S = 3  # for the generator to start and connect before the first event is due
_SILENCE_S = 30  # no prediction for as long: the rest is lost
_PLOTTED = np.concatenate([np.linspace(0, 99, 100), 100 - np.logspace(0, -2, 41)[1:]])


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.latency --rates 1000 --seconds 10")
    arguments.add_argument("--rates", default="1000,10000,50000", help="events/s, with commas (default: %(default)s)")
    arguments.add_argument("--seconds", type=int, default=30, help="of load for each, after the warm-up of 5 s")
    arguments.add_argument("--only", default=DEFAULT, help="contenders, with commas (default: %(default)s)")
    options = arguments.parse_args()
    chosen = options.only.split(",")
    contenders = [contender for contender in CONTENDERS if contender.name in chosen]
    if len(contenders) != len(chosen):
        arguments.error(f"--only: expected some of {', '.join(c.name for c in CONTENDERS)}; got {options.only}")
    rates = [int(rate) for rate in options.rates.split(",")]

    rows: list[dict[str, Any]] = []
    with cluster(options.bootstrap) as broker, model(options) as (bundle, keys, scratch):
        made = context(broker.version)
        for contender in contenders:
            with broker.topics() as prefix:
                place = Place(broker.bootstrap, prefix, f"bench-{uuid.uuid4().hex[:8]}", bundle, keys, scratch)
                rows += _under_load(contender, place, rates, options.seconds)

    settings = {
        "seconds": options.seconds,
        "warm_up_s": _WARM_UP_S,
        "partitions": PARTITIONS,
        "commit_interval_ms": int(floor.COMMIT_INTERVAL_S * 1000),
        "generator": {"linger_ms": generate.LINGER_MS, **load.PRODUCER},
        "measured": "from when the event was due to a read_committed consumer's receipt of its prediction",
    }
    console = Console(width=WIDTH)
    console.print(table(rows))
    console.print(caption(made), style="dim")
    console.print(
        write_json(options.results, "latency", {"benchmark": "latency", **made, "settings": settings, "rows": rows})
    )
    console.print(write_plot(options.plots, "latency", plot(rows), made))


def _under_load(contender: Contender, place: Place, rates: Sequence[int], seconds: int) -> list[dict[str, Any]]:
    rows = []
    with running(contender, place) as process:
        # Not counted: the worker connects, and the broker compiles what it runs.
        _Load(contender, place, max(rates), _UNCOUNTED_S).run()
        for rate in rates:
            process.check()
            row = _Load(contender, place, rate, seconds).run()
            rows.append(row)
            _say(f"{contender.name} at {rate}/s: p50 {row['p50_ms']:.1f} ms, p99 {row['p99_ms']:.1f} ms")
    return rows


class _Load:
    """One rate for a while: a process that sends, one that receives, and the arithmetic of the two."""

    def __init__(self, contender: Contender, place: Place, rate: int, seconds: int) -> None:
        self._contender = contender
        self._place = place
        self._rate = rate
        self._ignored = rate * _WARM_UP_S
        self._count = self._ignored + rate * seconds

    def run(self) -> dict[str, Any]:
        """Return the percentiles of the events after the warm-up; raise `RuntimeError` when predictions are missing."""
        out = self._place.scratch / "arrivals.npz"
        receive = subprocess.Popen(
            [*self._module("arrivals", PREDICTIONS.name), "--timeout-s", str(_SILENCE_S), "--out", str(out)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        assert receive.stdout
        if receive.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the receiver ended with exit code {receive.wait()} before it was ready")
        start_ns = time.monotonic_ns() + _LEAD_S * 1_000_000_000
        command = [*self._module("generate", EVENTS.name), "--rate", str(self._rate), "--start-ns", str(start_ns)]
        if self._contender.input == "signed":
            command += ["--keys", str(self._place.keys)]
        sent = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        if receive.wait():
            raise RuntimeError(f"the receiver failed with exit code {receive.returncode}")
        with np.load(out) as arrivals:
            sequences, arrivals_ns = arrivals["sequences"], arrivals["arrivals_ns"]
        if len(np.unique(sequences)) != self._count:
            raise RuntimeError(
                f"{self._contender.name} at {self._rate}/s: expected the predictions of {self._count} events, "
                f"got those of {len(np.unique(sequences))}"
            )
        measured = sequences >= self._ignored
        found = latencies_ms(sequences[measured], arrivals_ns[measured], start_ns, self._rate)
        return self._row(found, sent["latest_sending_ms"])

    def _row(self, found: np.ndarray, latest_sending_ms: float) -> dict[str, Any]:
        return {
            "name": self._contender.name,
            "title": self._contender.title,
            "guarantee": self._contender.guarantee,
            "events_per_s": self._rate,
            "events": len(found),
            **{f"p{p:g}_ms": round(float(np.percentile(found, p)), 2) for p in PERCENTILES},
            "max_ms": round(float(found.max()), 2),
            "latest_sending_ms": round(latest_sending_ms, 2),
            "distribution_ms": [round(float(value), 2) for value in np.percentile(found, _PLOTTED)],
        }

    def _module(self, name: str, topic: str) -> list[str]:
        options = {
            "--bootstrap": self._place.bootstrap,
            "--topic": self._place.prefix + topic,
            "--count": str(self._count),
        }
        return [sys.executable, "-m", f"benchmarks.{name}", *(part for option in options.items() for part in option)]


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows for people."""
    built = Table(title="Latency under open-loop load, ms")
    built.add_column("who")
    for column in ("events/s", *(f"p{p:g}" for p in PERCENTILES), "max", "generator late at most"):
        built.add_column(column, justify="right")
    for row in rows:
        figures = [row[f"p{p:g}_ms"] for p in PERCENTILES] + [row["max_ms"], row["latest_sending_ms"]]
        built.add_row(row["title"], f"{row['events_per_s']:,}", *(f"{figure:,.1f}" for figure in figures))
    return built


def plot(rows: Sequence[dict[str, Any]]) -> "Figure":
    """Return the latency over the percentiles, one panel a rate."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rates = sorted({row["events_per_s"] for row in rows})
    figure = Figure(figsize=(3.2 * len(rates) + 0.6, 3.4), layout=ConstrainedLayoutEngine(rect=(0, 0.06, 1, 0.94)))
    panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
    for axes, rate in zip(panels, rates, strict=True):
        for row in (row for row in rows if row["events_per_s"] == rate):
            axes.plot(100 / (100 - _PLOTTED), row["distribution_ms"], label=row["title"], linewidth=1.5)
        axes.set(title=f"{rate:,} events/s", xscale="log", yscale="log", xlabel="percentile")
        axes.set_xticks([2, 10, 100, 1000, 10_000], ["50", "90", "99", "99.9", "99.99"])
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("ms")
    panels[0].legend(fontsize=7)
    return figure


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
