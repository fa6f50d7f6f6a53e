"""alibi-detect's online MMD and LSDD on PyTorch, fed every event, missing values as columns of their own.

Their own thresholds come from a bootstrap of the reference for their `ert`. To give all contenders the same spacing of
false alarms, a threshold of their statistic is tuned on the clean streams, as it is for river's detectors.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]  # lives in an environment of its own
from alibi_detect.cd import LSDDDriftOnline, MMDDriftOnline  # type: ignore[import-not-found]

from benchmarks.peers.drift_job import Floats, Task, judged_by_values, main

_WINDOWS = (20, 50, 200)
_SEED = 20


def detectors(task: Task) -> dict[str, dict[str, Any]]:
    median = np.nanmedian(task.reference, axis=0)

    def prepared(events: Floats) -> Floats:
        missing = np.isnan(events)
        return np.concatenate([np.where(missing, median, events), missing], axis=1)

    reference = prepared(task.reference)
    mean, sd = reference.mean(axis=0), np.maximum(reference.std(axis=0), 0.1)

    def scaled(events: Floats) -> Any:
        return ((prepared(events) - mean) / sd).astype(np.float32)

    def values(detector: Any, stream: Floats) -> Iterator[float]:
        detector.reset_state()
        return (float(detector.predict(event)["data"]["test_stat"]) for event in scaled(stream))

    torch.set_num_threads(1)
    found = {}
    for name, kind in {"MMD": MMDDriftOnline, "LSDD": LSDDDriftOnline}.items():
        for window in _WINDOWS:
            torch.manual_seed(_SEED)
            np.random.seed(_SEED)
            # Few bootstraps keep its own thresholds short of use; they are not used but for where it begins.
            detector = kind(
                scaled(task.reference),
                ert=500.0,
                window_size=window,
                backend="pytorch",
                device="cpu",
                n_bootstraps=1000,
                verbose=False,
            )
            found[f"alibi-detect {name}, window {window}"] = judged_by_values(partial(values, detector), task)
    return found


if __name__ == "__main__":
    main(detectors)
