"""What every drift detector of the benchmark gets and gives; numpy alone, so that it runs in any peer's environment."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Watch = Callable[[Floats, float], int | None]
"""Events of a stream (n, features and score) and a threshold; returns the event of the first alarm, None if none."""


class Task:
    """Reference events, clean streams to tune by, and drifted ones, whose change begins at `change`."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.reference: Floats = file["reference"]
            self.clean: Floats = file["clean"]  # (streams, events, columns)
            self.spacing = float(file["spacing"])
            self.change: npt.NDArray[np.int64] = file["change"]  # by stream, the same in every scenario
            names = [name for name in file.files if name.startswith("to ")]
            self.drifted: dict[str, Floats] = {name.removeprefix("to "): file[name] for name in names}


def spacing_of(watch: Watch, clean: Floats, threshold: float) -> tuple[float, int]:
    """Return events until a false alarm on average, streams without one counted in full, and the number of alarms."""
    firsts = [watch(stream, threshold) for stream in clean]
    watched = sum(len(stream) if at is None else at + 1 for at, stream in zip(firsts, clean, strict=True))
    alarms = sum(at is not None for at in firsts)
    return watched / max(alarms, 1), alarms


def tuned(watch: Watch, task: Task, low: float, high: float, steps: int = 14) -> float:
    """Return the threshold between `low`, too many alarms, and `high`, too few, whose spacing is the task's."""
    for _ in range(steps):
        middle = (low + high) / 2
        if spacing_of(watch, task.clean, middle)[0] < task.spacing:
            low = middle
        else:
            high = middle
    return high


def judged(watch: Watch, task: Task, threshold: float) -> dict[str, Any]:
    """Return spacing, delays in events by scenario (None: not found) and the cost of an event."""
    events = 0

    def counted(stream: Floats, at: float) -> int | None:
        nonlocal events
        found = watch(stream, at)
        events += len(stream) if found is None else found + 1
        return found

    started = time.perf_counter()
    spacing, alarms = spacing_of(counted, task.clean, threshold)
    delays: Mapping[str, list[int | None]] = {
        name: _delays(counted, streams, task.change, threshold) for name, streams in task.drifted.items()
    }
    cost = (time.perf_counter() - started) / events * 1e6
    return {"spacing": spacing, "false_alarms": alarms, "delays": delays, "us_per_event": cost}


def _delays(watch: Watch, streams: Floats, changes: npt.NDArray[np.int64], threshold: float) -> list[int | None]:
    """Return the events from the change to the alarm; a stream whose alarm came before the change says nothing."""
    found: list[int | None] = []
    for stream, change in zip(streams, changes.tolist(), strict=True):
        at = watch(stream, threshold)
        if at is None:
            found.append(None)
        elif at >= change:
            found.append(at - change + 1)
    return found


def main(detectors: Callable[[Task], dict[str, dict[str, Any]]]) -> None:
    """Read the task named by the first argument, write the results to the file named by the second."""
    task, out = Task(Path(sys.argv[1])), Path(sys.argv[2])
    out.write_text(json.dumps(detectors(task)))
