"""The arithmetic of the benchmarks."""

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

Rounds = Sequence[Mapping[str, float]]
"""A figure of each contender, events per second say, one mapping a round."""


def ratio(rounds: Rounds, name: str, base: str) -> float | None:
    """Return the median over rounds of `name` divided by `base`, None when no round has both.

    Dividing within a round comes first, because a machine's speed moves from round to round and both move with it.

    >>> ratio([{"a": 2, "b": 1}, {"a": 30, "b": 10}, {"a": 5, "b": 1}], "a", "b")
    3.0
    """
    ratios = [each[name] / each[base] for each in rounds if name in each and base in each]
    return median(ratios) if ratios else None


def rate(timestamps_ms: npt.NDArray[np.int64], quota: int, warm_up: int) -> tuple[float, int, int]:
    """Return events per second from the record number `warm_up` to number `quota`, and the times of both in ms.

    `timestamps_ms` are those of at least `quota` output records, shape (n,), in any order.

    >>> rate(np.array([3000, 0, 1000, 2000, 9000]), quota=4, warm_up=1)
    (1.0, 1000, 3000)
    """
    if not 0 <= warm_up < quota - 1:
        raise ValueError(f"warm-up: expected fewer records than the quota of {quota}, got {warm_up}")
    if len(timestamps_ms) < quota:
        raise ValueError(f"output: expected at least {quota} records, got {len(timestamps_ms)}")
    ordered = np.sort(timestamps_ms)
    first, last = int(ordered[warm_up]), int(ordered[quota - 1])
    return (quota - 1 - warm_up) * 1000 / max(last - first, 1), first, last


def latencies_ms(
    sequences: npt.NDArray[np.int64], arrivals_ns: npt.NDArray[np.int64], start_ns: int, per_s: int
) -> npt.NDArray[np.float64]:
    """Return for each event the time from when it was due to its arrival, in ms, shape (n,).

    Event `s` of an open-loop load was due `s / per_s` seconds after the start. A late sender is latency too: taking the
    time of sending would hide every stall (Tene, How NOT to Measure Latency, 2013: coordinated omission).

    >>> latencies_ms(np.array([0, 500]), np.array([5_000_000, 507_000_000]), start_ns=0, per_s=1000)
    array([5., 7.])
    """
    return (arrivals_ns - start_ns) / 1e6 - sequences * (1e3 / per_s)


def slope_per_minute(seconds: Sequence[float], values: Sequence[float]) -> float:
    """Return the least-squares slope of `values` per minute.

    >>> round(slope_per_minute([0, 30, 60], [100, 101, 102]), 6)
    2.0
    """
    return float(np.polyfit(np.asarray(seconds) / 60, np.asarray(values), 1)[0])
