"""How soon changes are found, beside alibi-detect, river, Evidently and a dummy, all at one spacing of false alarms.

Delays are in events and do not depend on the machine; costs do.
"""

import hashlib
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from rich.table import Table

from benchmarks.drift_streams import BEFORE, Floats, Scenarios, Score, reference_of
from benchmarks.environments import CACHE, PEERS, ROOT, pinned_version, python_of
from benchmarks.peers.drift_job import Task, judged, save
from contracts.reference import ReferenceStatistics
from models.shift import ShiftStatistics
from models.sketch import Sketcher
from stream_app.detectors.drift import DriftDetector

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS = "CardioSentry"
PACKAGES = {"river": "river", "evidently": "evidently", "alibi": "alibi-detect"}
SPACING = 2000  # events between false alarms, of all contenders
AFTER = 2000  # events after the change at most
CLEAN_A_STREAM = 3  # clean streams for each drifted one of a scenario
_BATCH = 1000  # events
REFERENCE = 1000
"""Clean events that the peers learn from: more than the 303 patients there are, so that none suffers from the few. Of
more than 1000, Evidently takes distances instead of tests."""


def delays(score: Score, streams: int, peers: list[str], seed: int) -> dict[str, Any]:
    """Return what `benchmarks.peers.drift_job.judged` says of each contender."""
    scenarios = Scenarios(score, seed)
    reference = reference_of(scenarios.home, score, seed)
    events = _task(scenarios, streams)
    with TemporaryDirectory(prefix="cardiosentry-bench-") as scratch:
        by_event, by_window = Path(scratch) / "events.npz", Path(scratch) / "windows.npz"
        save(by_event, events)
        save(by_window, _windows_of(events, reference))
        found: dict[str, Any] = {OURS: _ours(events, reference)}
        for peer in peers:
            version = pinned_version(peer, PACKAGES[peer])
            tasks = [by_event, by_window] if peer == "river" else [by_event]
            found |= {f"{name} ({version})": each for name, each in _judged_by(peer, tasks).items()}
    found["dummy, at random"] = _dummy(events, seed)
    return found


def _task(scenarios: Scenarios, streams: int) -> Task:
    length = BEFORE + 40 + AFTER
    before = BEFORE + scenarios.rng.integers(40, size=streams)
    return Task(
        reference=scenarios.clean(REFERENCE),
        clean=np.array([scenarios.clean(length) for _ in range(CLEAN_A_STREAM * streams)]),
        drifted={
            name: np.array([scenarios.drifted(change, int(at), length - int(at)) for at in before])
            for name, change in scenarios.changes().items()
        },
        change=before,
        spacing=SPACING,
    )


def _windows_of(task: Task, reference: ReferenceStatistics) -> Task:
    """Return the task with our statistics of each window in place of the events, without a memory."""
    sketcher, statistics = Sketcher(reference.columns), ShiftStatistics(reference)
    size = reference.window_events

    def scores(stream: Floats) -> Floats:
        totals = sketcher.window_totals(sketcher.slots(stream[:, :-1], stream[:, -1]), size).astype(np.float64)
        return statistics.scores(totals, np.full(len(totals), float(size)))

    return Task(
        reference=scores(task.reference),
        clean=np.array([scores(stream) for stream in task.clean]),
        drifted={name: np.array([scores(stream) for stream in each]) for name, each in task.drifted.items()},
        change=task.change,
        spacing=task.spacing,
        every=size,
    )


def _judged_by(peer: str, tasks: list[Path]) -> dict[str, Any]:
    """Return a peer's results; they are made anew when its streams, script or lock are new, which can take minutes."""
    script = PEERS / f"drift_{peer}.py"
    parts = (*tasks, script, PEERS / "drift_job.py", PEERS / f"{peer}.lock")
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    out = CACHE / f"drift_{peer}-{digest[:16]}.json"
    if not out.exists():
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([python_of(peer), script, *tasks, out], check=True, env=environ)
    found: dict[str, Any] = msgspec.json.decode(out.read_bytes())
    return found


def _ours(task: Task, reference: ReferenceStatistics) -> dict[str, Any]:
    """Our detector at the spacing that was asked for, not tuned on the clean streams; sketches are part of its cost."""
    sketcher = Sketcher(reference.columns)
    events = reference.window_events

    def watch(stream: Floats, threshold: float) -> int | None:
        detector = DriftDetector(reference, threshold / events)
        for end in range(events, len(stream) + 1, events):
            rows = stream[end - events : end]
            if detector.update(sketcher.sketch(rows[:, :-1], rows[:, -1])):
                return end - 1
        return None

    return {**judged(watch, task, task.spacing), "us_per_event_in_batches": _cost_in_batches(task, reference)}


def _cost_in_batches(task: Task, reference: ReferenceStatistics) -> float:
    """Return the µs of an event where a thousand come at once and make one window, as on a busy worker."""
    sketcher, detector = Sketcher(reference.columns), DriftDetector(reference, task.spacing)
    streams = [stream[:_BATCH] for stream in task.clean]
    started = time.process_time()
    for rows in streams:
        detector.update(sketcher.sketch(rows[:, :-1], rows[:, -1]))
    return (time.process_time() - started) / (len(streams) * _BATCH) * 1e6


def _dummy(task: Task, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng([seed, 12])

    def watch(stream: Floats, _: float) -> int | None:
        at = int(rng.geometric(1 / task.spacing)) - 1
        return at if at < len(stream) else None

    return judged(watch, task, 0.0)


def middle(delays: list[int | None]) -> float:
    """Return the median delay; what was not found counts as later than all.

    >>> middle([30, None, 10]), middle([30, None, None])
    (30.0, inf)
    """
    return float(np.median([np.inf if each is None else each for each in delays])) if delays else float("nan")


def delay_table(found: Mapping[str, Any]) -> Table:
    """Return the contenders with their median delays, the spacing of their false alarms, and costs."""
    scenarios = list(found[OURS]["delays"])
    table = Table("median delay in events", *scenarios, "spacing of false alarms", "µs an event")
    for name, each in found.items():
        shown = (_shown(each["delays"][scenario]) for scenario in scenarios)
        spacing = f"{each['spacing']:,.0f} ({each['false_alarms']})"
        table.add_row(name, *shown, spacing, f"{each['us_per_event']:,.1f}")
    return table


def _shown(delays: list[int | None]) -> str:
    found = middle(delays)
    missed = sum(each is None for each in delays)
    told = "none left" if np.isnan(found) else "not found" if np.isinf(found) else f"{found:,.0f}"
    return f"{told} ({missed} of {len(delays)} missed)" if missed and delays else told


_COLOURS = {OURS: "#1f77b4", "alibi-detect": "#2ca02c", "river": "#ff7f0e", "Evidently": "#9467bd"}


def delay_plot(found: Mapping[str, Any]) -> "Figure":
    """Return the median delays, a row a scenario and a mark a contender; not found stands at the right edge."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    scenarios = list(found[OURS]["delays"])
    figure = Figure(figsize=(9, 5.5), layout=ConstrainedLayoutEngine(rect=(0, 0.05, 1, 0.95)))
    axes = figure.subplots()
    marks = "osD^v<>PX*hdp8"
    for place, (name, each) in enumerate(found.items()):
        ours = name == OURS
        axes.plot(
            [min(middle(each["delays"][scenario]), AFTER) for scenario in scenarios],
            range(len(scenarios)),
            marks[place % len(marks)],
            color=_COLOURS.get(name.split()[0].rstrip(","), "#999999"),
            markersize=10 if ours else 5,
            zorder=1 if ours else 2,
            label=name,
        )
    axes.set_yticks(range(len(scenarios)), scenarios, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel(f"events from the change to the alarm, median; {AFTER:,}: not found")
    axes.grid(axis="y", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    return figure
