"""Evidently's data drift tests on windows of 200 events, with its default rule and with a tuned threshold.

The tests are the ones that its data drift preset chooses for each column. They are called without the report around
them, which takes two seconds a window, most of it for what people look at.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]
from evidently import Report  # type: ignore[import-not-found]
from evidently.legacy.calculations.stattests import get_stattest  # type: ignore[import-not-found]
from evidently.legacy.core import ColumnType  # type: ignore[import-not-found]
from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

from benchmarks.peers.drift_job import Floats, Task, judged, judged_by_values, main

_WINDOW = 200
_REPORTS = 3  # to measure what one costs


def detectors(task: Task) -> dict[str, dict[str, Any]]:
    columns = task.reference.shape[1]
    known: dict[bytes, Floats] = {}

    def p_values(window: Floats) -> Floats:
        """Return the p-values of the columns, then of their missing values."""
        key = window.tobytes()
        if key not in known:
            known[key] = _p_values(task.reference, window)
        return known[key]

    def surprise(stream: Floats) -> Iterator[float]:
        """Give at the end of each window by how many powers of ten its smallest p-value is below 1."""
        for end in range(1, len(stream) + 1):
            full = end % _WINDOW == 0
            yield -np.log10(max(p_values(stream[end - _WINDOW : end]).min(), 1e-300)) if full else -1.0

    def default(stream: Floats, _: float) -> int | None:
        for end in range(_WINDOW, len(stream) + 1, _WINDOW):
            if (p_values(stream[end - _WINDOW : end])[:columns] < 0.05).mean() >= 0.5:
                return end - 1
        return None

    tuned = judged_by_values(surprise, task)
    whole = {**judged(default, task, 0.0), "us_per_event": _cost_of_reports(task)}
    return {"Evidently, default report": whole, "Evidently, smallest p-value": tuned}


def _p_values(reference: Floats, window: Floats) -> Floats:
    found = [
        _p_value(pd.Series(usual[~np.isnan(usual)]), pd.Series(seen[~np.isnan(seen)]))
        for usual, seen in zip(reference.T, window.T, strict=True)
    ]
    missing = [
        _p_value(pd.Series(np.isnan(usual) * 1.0), pd.Series(np.isnan(seen) * 1.0))
        for usual, seen in zip(reference.T, window.T, strict=True)
    ]
    return np.array(found + missing)


def _p_value(reference: Any, window: Any) -> float:
    if not len(window):
        return 0.0  # a column without any value is an error to it, and says that something is wrong
    if reference.nunique() == 1:
        return 1.0 if (window == reference.iloc[0]).all() else 0.0
    test = get_stattest(reference, window, ColumnType.Numerical, None)
    found = float(test(reference, window, ColumnType.Numerical, None).drift_score)
    return 1.0 if np.isnan(found) else found


def _cost_of_reports(task: Task) -> float:
    """Return the µs an event that the report takes."""
    names = [f"column_{at}" for at in range(task.reference.shape[1])]
    reference = pd.DataFrame(task.reference, columns=names)
    windows = [pd.DataFrame(stream[:_WINDOW], columns=names) for stream in task.clean[:_REPORTS]]
    started = time.process_time()
    for window in windows:
        Report([DataDriftPreset()]).run(window, reference).dict()
    return (time.process_time() - started) / (len(windows) * _WINDOW) * 1e6


if __name__ == "__main__":
    main(detectors)
