"""alibi-detect's online MMD and LSDD on TensorFlow, fed every event, missing values as columns of their own.

Their own thresholds come from a bootstrap of the reference for their `ert`. To give all contenders the same spacing of
false alarms, a threshold of their statistic is tuned on the clean streams, as it is for river's detectors.
"""

import os
import time

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from typing import Any

import numpy as np
from alibi_detect.cd import LSDDDriftOnline, MMDDriftOnline  # type: ignore[import-not-found]

from benchmarks.peers.drift_job import Floats, Task, judged, main, tuned

_WINDOW = 50


def detectors(task: Task) -> dict[str, dict[str, Any]]:
    median = np.nanmedian(task.reference, axis=0)

    def prepared(events: Floats) -> Floats:
        missing = np.isnan(events)
        return np.concatenate([np.where(missing, median, events), missing], axis=1)

    reference = prepared(task.reference)
    mean, sd = reference.mean(axis=0), np.maximum(reference.std(axis=0), 0.1)
    scaled = ((reference - mean) / sd).astype(np.float32)
    found = {}
    for name, kind in {"alibi-detect MMD": MMDDriftOnline, "alibi-detect LSDD": LSDDDriftOnline}.items():
        # A small `ert` keeps its own bootstrap short: its thresholds are not used.
        detector = kind(scaled, ert=20.0, window_size=_WINDOW, backend="tensorflow", n_bootstraps=1000, verbose=False)
        values: dict[bytes, list[float]] = {}  # a stream's statistics do not depend on the threshold

        def watch(stream: Floats, threshold: float, detector: Any = detector, values: Any = values) -> int | None:
            key = stream.tobytes()
            if key not in values:
                detector.reset_state()
                values[key] = []
            seen = values[key]
            for at, event in enumerate(stream):
                if at == len(seen):
                    ready = ((prepared(event[None])[0] - mean) / sd).astype(np.float32)
                    seen.append(float(detector.predict(ready)["data"]["test_stat"]))
                if seen[at] >= threshold:
                    return at
            return None

        started = time.perf_counter()
        for stream in task.clean:
            watch(stream, np.inf)
        cost = (time.perf_counter() - started) / (len(task.clean) * task.clean.shape[1]) * 1e6
        every = np.concatenate([values[stream.tobytes()] for stream in task.clean])
        threshold = tuned(watch, task, float(np.quantile(every, 0.5)), float(every.max()) + 1e-6)
        found[name] = {**judged(watch, task, threshold), "us_per_event": cost}
    return found


if __name__ == "__main__":
    main(detectors)
