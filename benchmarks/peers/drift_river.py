"""River's ADWIN and Page-Hinkley, one a column: fed every event, and fed our own statistics of windows.

They learn what is usual from the stream itself. So that they know it when a stream begins, each is fed the clean rows
of the reference first.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from river import drift  # type: ignore[import-not-found]  # lives in an environment of its own

from benchmarks.peers.drift_job import Floats, Task, Watch, judged, main, tuned


def detectors(events: Task, windows: Task) -> dict[str, dict[str, Any]]:
    def adwin(threshold: float) -> Any:
        return drift.ADWIN(delta=10**-threshold, clock=1)

    found = {}
    # Our statistics are higher the further a window is from the reference; a feature may move either way.
    for task, told, mode in (events, "", "both"), (windows, " on our windows", "up"):
        page_hinkley = partial(_page_hinkley, mode=mode)
        for name, make, low, high in ("ADWIN", adwin, 0.3, 12.0), ("Page-Hinkley", page_hinkley, 1.0, 100.0):
            watch = _watching(task, make)
            found[f"river {name}{told}"] = judged(watch, task, tuned(watch, task, low, high, steps=8))
    return found


def _page_hinkley(threshold: float, mode: str) -> Any:
    # Half of the least shift of the mean that matters, in standard deviations, as is usual for CUSUM.
    return drift.PageHinkley(threshold=threshold, delta=0.25, mode=mode)


def _watching(task: Task, make: Callable[[float], Any]) -> Watch:
    mean, sd = np.nanmean(task.reference, axis=0), np.nanstd(task.reference, axis=0)

    def signals(rows: Floats) -> list[Floats]:
        """Return the columns in standard deviations, then whether each is missing; constant ones never alarm."""
        columns = np.concatenate([(rows - mean) / sd, np.isnan(rows) / np.maximum(missing_sd, 0.1)], axis=1).T
        return [column[~np.isnan(column)] for column in columns]

    missing_sd = np.isnan(task.reference).std(axis=0)
    usual = [signal.tolist() for signal in signals(task.reference)]

    def watch(stream: Floats, threshold: float) -> int | None:
        first: int | None = None
        present = ~np.isnan(stream)
        rows_of = [*(np.flatnonzero(column) for column in present.T), *([np.arange(len(stream))] * len(mean))]
        for before, signal, rows in zip(usual, signals(stream), rows_of, strict=True):
            end = len(rows) if first is None else int(np.searchsorted(rows, first))
            if not signal[:end].any() and not any(before):
                continue  # never missing
            detector = make(threshold)
            for value in before:
                detector.update(value)
            for row, value in zip(rows[:end].tolist(), signal[:end].tolist(), strict=True):
                detector.update(value)
                if detector.drift_detected:
                    first = row
                    break
        return first

    return watch


if __name__ == "__main__":
    main(detectors)
