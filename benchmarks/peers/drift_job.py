"""What every drift detector of the benchmark gets and gives; numpy alone, so that it runs in any peer's environment."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Watch = Callable[[Floats, float], int | None]
"""Rows of a stream and a threshold; returns the row of the first alarm, None if there is none."""


@dataclass(frozen=True)
class Task:
    """Clean rows to learn from, clean streams to tune by, and drifted ones, each of which has its change.

    A row is `every` events: one, with features and score (NaN where missing), or a window, with one score of each
    statistic. `change` is the event with which each drifted stream begins to change; `spacing` is in events.
    """

    reference: Floats
    clean: Floats  # (streams, rows, columns)
    drifted: Mapping[str, Floats]
    change: npt.NDArray[np.int64]
    spacing: float
    every: int = 1


def save(path: Path, task: Task) -> None:
    """Write the task to a file."""
    arrays: dict[str, Any] = {f"to {name}": streams for name, streams in task.drifted.items()}
    arrays |= {name: getattr(task, name) for name in ("reference", "clean", "change", "spacing", "every")}
    np.savez(path, **arrays)


def load(path: Path) -> Task:
    """Return the task in the file."""
    with np.load(path) as file:
        return Task(
            reference=file["reference"],
            clean=file["clean"],
            drifted={name.removeprefix("to "): file[name] for name in file.files if name.startswith("to ")},
            change=file["change"],
            spacing=float(file["spacing"]),
            every=int(file["every"]),
        )


def spacing_of(watch: Watch, task: Task, threshold: float) -> tuple[float, int]:
    """Return events until a false alarm on average, streams without one counted in full, and the number of alarms."""
    firsts = [watch(stream, threshold) for stream in task.clean]
    rows = sum(len(stream) if at is None else at + 1 for at, stream in zip(firsts, task.clean, strict=True))
    alarms = sum(at is not None for at in firsts)
    return rows * task.every / max(alarms, 1), alarms


def tuned(watch: Watch, task: Task, low: float, high: float, steps: int = 14) -> float:
    """Return the threshold between `low`, too many alarms, and `high`, too few, whose spacing is the task's."""
    for _ in range(steps):
        middle = (low + high) / 2
        if spacing_of(watch, task, middle)[0] < task.spacing:
            low = middle
        else:
            high = middle
    return high


def judged(watch: Watch, task: Task, threshold: float) -> dict[str, Any]:
    """Return spacing, delays in events by scenario (None: not found) and the cost of an event."""
    rows = 0

    def counted(stream: Floats, at: float) -> int | None:
        nonlocal rows
        found = watch(stream, at)
        rows += len(stream) if found is None else found + 1
        return found

    started = time.process_time()
    spacing, alarms = spacing_of(counted, task, threshold)
    delays: Mapping[str, list[int | None]] = {
        name: _delays(counted, streams, task, threshold) for name, streams in task.drifted.items()
    }
    cost = (time.process_time() - started) / (rows * task.every) * 1e6
    return {"spacing": spacing, "false_alarms": alarms, "delays": delays, "us_per_event": cost}


def judged_by_values(values: Callable[[Floats], Iterator[float]], task: Task) -> dict[str, Any]:
    """Return as `judged`, of what alarms where a value reaches a threshold, which is tuned to the task's spacing.

    `values` begins a stream and gives the value of each row in turn; they may not depend on the threshold, so those of
    the clean streams are asked for once.
    """
    started = time.process_time()
    clean = {stream.tobytes(): np.array(list(values(stream))) for stream in task.clean}
    cost = (time.process_time() - started) / (task.clean.shape[0] * task.clean.shape[1] * task.every) * 1e6

    def watch(stream: Floats, threshold: float) -> int | None:
        known = clean.get(stream.tobytes())
        return next(
            (at for at, value in enumerate(values(stream) if known is None else known) if value >= threshold), None
        )

    every = np.concatenate(list(clean.values()))
    threshold = tuned(watch, task, float(every.min()), float(every.max()) + 1e-9, steps=25)
    return {**judged(watch, task, threshold), "us_per_event": cost}


def _delays(watch: Watch, streams: Floats, task: Task, threshold: float) -> list[int | None]:
    """Return the events from the change to the alarm; a stream whose alarm came before the change says nothing."""
    found: list[int | None] = []
    for stream, change in zip(streams, task.change.tolist(), strict=True):
        at = watch(stream, threshold)
        end = None if at is None else (at + 1) * task.every  # events that were there when the alarm came
        if end is None:
            found.append(None)
        elif end > change:
            found.append(end - change)
    return found


def main(detectors: Callable[..., dict[str, dict[str, Any]]]) -> None:
    """Judge the detectors by the tasks in the files named; write the results to the file named last."""
    *tasks, out = map(Path, sys.argv[1:])
    out.write_text(json.dumps(detectors(*map(load, tasks))))
