"""Latencies as counts in bins that grow by a tenth: quantiles to 5%, however many there are, and bins add up."""

import math
from collections.abc import Sequence

import numpy as np

from monitoring.console.ring import Counts

_GROWTH = math.log(1.1)
BINS = 160
"""From 1 ms to about an hour; what is longer counts as that."""


def bins_of(milliseconds: Sequence[int]) -> Counts:
    """Return how many fall into each bin, (BINS,); negative ones, of clocks that disagree, count as 0."""
    logs = np.log(np.maximum(np.array(milliseconds, np.float64), 1.0)) / _GROWTH
    return np.bincount(np.clip(np.ceil(logs), 0, BINS - 1).astype(np.intp), minlength=BINS)


def quantile(counts: Counts, share: float) -> float | None:
    """Return the latency in ms that `share` (0 to 1) of the counted are at most; None where nothing was counted.

    >>> quantile(bins_of([20] * 99 + [1000]), 0.5)
    20.1
    """
    total = int(counts.sum())
    if not total:
        return None
    at = int(np.searchsorted(counts.cumsum(), share * total))
    return round(math.exp((at - 0.5) * _GROWTH), 1) if at else 1.0
