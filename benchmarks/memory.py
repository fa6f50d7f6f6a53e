"""Memory of a worker at full rate, its input always fed: RSS once a second, for ten minutes."""

import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING

import psutil
from rich.console import Console

from benchmarks.cluster import Cluster, cluster
from benchmarks.contenders import CONTENDERS, Contender, Place, running
from benchmarks.environments import ROOT
from benchmarks.measure import tree
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, caption, context, write_json, write_plot
from benchmarks.stats import slope_per_minute
from contracts.topics import EVENTS, PREDICTIONS
from tests.support.broker import end_offsets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTLING = 0.2  # of the time: caches fill and the allocator finds its size; the slope is of what follows

# The worker is fed for ten minutes, not the disk: what it has read and written goes after a few seconds.
_TOPICS = {"retention.bytes": str(256 * 2**20), "segment.bytes": str(64 * 2**20)}


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.memory --minutes 0.5")
    arguments.add_argument("--minutes", type=float, default=10, help="(default: %(default)s)")
    arguments.add_argument("--contender", default="cardiosentry", choices=[c.name for c in CONTENDERS if not c.peer])
    options = arguments.parse_args()
    contender = next(c for c in CONTENDERS if c.name == options.contender)

    with cluster(options.bootstrap) as broker, model(options) as (bundle, keys, scratch):
        made = context(broker.version)
        with broker.topics(_TOPICS) as prefix:
            place = Place(broker.bootstrap, prefix, f"bench-{uuid.uuid4().hex[:8]}", bundle, keys, scratch)
            samples = sample(contender, place, broker, options.minutes * 60)

    summary = summarise(samples)
    settings = {"minutes": options.minutes, "contender": contender.title, "topics": _TOPICS}
    document = {"benchmark": "memory", **made, "settings": settings, "summary": summary, "samples": samples}
    console = Console(width=WIDTH)
    console.print(
        f"{contender.title}: worker at most {summary['worker_max_mb']:.0f} MB, "
        f"{summary['worker_slope_mb_per_minute']:+.2f} MB/minute after the first {SETTLING:.0%}; "
        f"all its processes at most {summary['tree_max_mb']:.0f} MB; "
        f"{summary['events_per_s']:,.0f} events/s over {options.minutes:g} minutes"
    )
    console.print(caption(made), style="dim")
    console.print(write_json(options.results, "memory", document))
    console.print(write_plot(options.plots, "memory", plot(samples), made))


def sample(contender: Contender, place: Place, broker: Cluster, seconds: float) -> list[dict[str, float]]:
    """Feed and watch the contender; return a sample a second, from its first prediction."""
    feed = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.feed", place.bootstrap, place.prefix + EVENTS.name, place.group]
        + ([str(place.keys)] if contender.input == "signed" else []),
        cwd=ROOT,
    )
    samples: list[dict[str, float]] = []
    admin = broker.admin
    try:
        with running(contender, place) as process:
            root = psutil.Process(process.process.pid)
            started: float | None = None
            while started is None or time.monotonic() - started < seconds:
                time.sleep(1)
                process.check()
                if feed.poll() is not None:
                    raise RuntimeError(f"the feed ended by itself with exit code {feed.returncode}")
                written = sum(end_offsets(admin, place.prefix + PREDICTIONS.name).values())
                if not written:
                    continue
                started = started or time.monotonic()
                sizes = [_rss_mb(each) for each in tree(root)]
                samples.append(
                    {
                        "s": round(time.monotonic() - started, 2),
                        "worker_mb": max(sizes),  # the supervisor beside it does next to nothing
                        "tree_mb": round(sum(sizes), 1),
                        "predictions": written,
                    }
                )
    finally:
        feed.terminate()
        feed.wait()
    return samples


def summarise(samples: list[dict[str, float]]) -> dict[str, float]:
    """Return the largest sizes, the slopes after settling, and the rate.

    >>> flat = [{"s": float(s), "worker_mb": 200.0, "tree_mb": 250.0, "predictions": 1000 * s} for s in range(10)]
    >>> found = summarise(flat)
    >>> found["worker_max_mb"], found["events_per_s"], abs(found["worker_slope_mb_per_minute"]) < 1e-6
    (200.0, 1000.0, True)
    """
    settled = samples[int(len(samples) * SETTLING) :]
    if len(settled) < 2:
        raise ValueError(f"samples: expected at least 3, got {len(samples)}")
    seconds = [each["s"] for each in settled]
    found: dict[str, float] = {}
    for what in ("worker", "tree"):
        found[f"{what}_max_mb"] = max(each[f"{what}_mb"] for each in samples)
        found[f"{what}_slope_mb_per_minute"] = slope_per_minute(seconds, [each[f"{what}_mb"] for each in settled])
    first, last = samples[0], samples[-1]
    found["events_per_s"] = (last["predictions"] - first["predictions"]) / (last["s"] - first["s"])
    return found


def plot(samples: list[dict[str, float]]) -> "Figure":
    """Return memory over time."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(7, 3), layout=ConstrainedLayoutEngine(rect=(0, 0.06, 1, 0.94)))
    axes = figure.subplots()
    minutes = [each["s"] / 60 for each in samples]
    axes.plot(minutes, [each["tree_mb"] for each in samples], label="all its processes", color="#aaaaaa")
    axes.plot(minutes, [each["worker_mb"] for each in samples], label="worker", color="#1f77b4")
    axes.set(xlabel="minutes at full rate", ylabel="RSS, MB", ylim=(0, None))
    axes.legend(fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _rss_mb(process: psutil.Process) -> float:
    try:
        return round(process.memory_info().rss / 1e6, 1)
    except psutil.NoSuchProcess:
        return 0.0


if __name__ == "__main__":
    main()
