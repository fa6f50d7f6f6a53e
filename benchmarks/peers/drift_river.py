"""River's ADWIN and Page-Hinkley, one a column and one a column's missing values, fed every event."""

from typing import Any

import numpy as np
from river import drift  # type: ignore[import-not-found]  # lives in an environment of its own

from benchmarks.peers.drift_job import Floats, Task, Watch, judged, main, tuned


def detectors(task: Task) -> dict[str, dict[str, Any]]:
    mean, sd = np.nanmean(task.reference, axis=0), np.nanstd(task.reference, axis=0)

    def watching(make: Any) -> Watch:
        def watch(stream: Floats, threshold: float) -> int | None:
            missing = np.isnan(stream)
            signals = np.concatenate([(stream - mean) / sd, missing], axis=1).T
            first: int | None = None
            for signal in signals:
                detector = make(threshold)
                for at, value in enumerate(signal[:first].tolist()):
                    if value == value:  # noqa: PLR0124 - false for NaN alone
                        detector.update(value)
                        if detector.drift_detected:
                            first = at
                            break
            return first

        return watch

    found = {}
    contenders = {
        "river ADWIN": (lambda t: drift.ADWIN(delta=10**-t, clock=1), 0.3, 12.0),
        "river Page-Hinkley": (lambda t: drift.PageHinkley(threshold=t, delta=0.25), 1.0, 100.0),
    }
    for name, (make, low, high) in contenders.items():
        watch = watching(make)
        found[name] = judged(watch, task, tuned(watch, task, low, high, steps=10))
    return found


if __name__ == "__main__":
    main(detectors)
