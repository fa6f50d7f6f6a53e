"""Evidently's default data drift report on windows of 200 events: drift when half of the columns have drifted."""

from typing import Any

import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]
from evidently import Report  # type: ignore[import-not-found]
from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

from benchmarks.peers.drift_job import Floats, Task, judged, main

_WINDOW = 200


def detectors(task: Task) -> dict[str, dict[str, Any]]:
    names = [f"column_{at}" for at in range(task.reference.shape[1])]
    reference = pd.DataFrame(task.reference, columns=names)

    def watch(stream: Floats, _: float) -> int | None:
        for end in range(_WINDOW, len(stream) + 1, _WINDOW):
            window = pd.DataFrame(stream[end - _WINDOW : end], columns=names)
            try:
                found = Report([DataDriftPreset()]).run(window, reference).dict()["metrics"]
            except ValueError:  # a column without any value is an error to it, and says that something is wrong
                return end - 1
            share = next(each["value"]["share"] for each in found if "DriftedColumnsCount" in each["metric_name"])
            if share >= 0.5:
                return end - 1
        return None

    return {"Evidently, default": judged(watch, task, 0.0)}


if __name__ == "__main__":
    main(detectors)
