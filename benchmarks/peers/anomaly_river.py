"""River's HalfSpaceTrees: scores each event of a stream, then learns from it, as it is meant to be used online."""

import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from river import anomaly  # type: ignore[import-not-found]  # lives in an environment of its own

_LEARNED = 1000  # events whose ranges and medians it is told, since it takes values between 0 and 1 alone
_SEED = 20


def scores(rows: npt.NDArray[np.float64]) -> list[float]:
    first = rows[:_LEARNED]
    low, high, median = np.nanmin(first, axis=0), np.nanmax(first, axis=0), np.nanmedian(first, axis=0)
    inside = np.clip((np.where(np.isnan(rows), median, rows) - low) / (high - low), 0, 1)
    trees: Any = anomaly.HalfSpaceTrees(n_trees=25, height=8, window_size=250, seed=_SEED)
    found = []
    for row in inside.tolist():
        event = dict(enumerate(row))
        found.append(trees.score_one(event))
        trees.learn_one(event)
    return found


def main() -> None:
    found: dict[str, Any] = {}
    events = 0
    started = time.process_time()
    with np.load(sys.argv[1]) as streams:
        for name in streams.files:
            found[name] = np.array(scores(streams[name]))
            events += len(found[name])
    found["us_per_event"] = np.array((time.process_time() - started) / events * 1e6)
    np.savez(sys.argv[2], **found)


if __name__ == "__main__":
    main()
