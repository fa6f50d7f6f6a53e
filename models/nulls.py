"""The null distributions of statistics, by simulation: what they do while nothing changes, found before it matters.

Streams are made of clean windows in random order, each stream with the offset of a population of its own, and run
through the detector's own memory (models/recent.py). The thresholds of the rarest of all statistics are the correction
for the number of tests, with the dependence of the statistics in it.
"""

import numpy as np
import numpy.typing as npt

from contracts.reference import ALL, WINDOW_EVENTS, WINDOW_GRID, Null
from models.recent import suffix_lengths
from models.scores import Rarity

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]

SPACINGS = tuple(20.0 * 2**doubling for doubling in range(9))

_STREAMS = 2000
_STREAM_WINDOWS = 320
_SETTLED = 64  # windows until the detector's memory is full: alarms come at an even rate from here
_LEVELS = np.linspace(0.02, 0.99, 40)
# So that the last bits of a sum, which are another processor's or another number of threads' own, do not change the
# bundle's digest: thresholds, which come of simulated streams and are less sure than the step, would by their sixth.
_DIGITS = 6
_STEP = 0.001


def null_distributions(
    names: tuple[str, ...], parts: Floats32, owners: Floats32, population: int, rng: np.random.Generator
) -> dict[str, Null]:
    """Return the null distribution of each statistic in `names`, and of `ALL`.

    `parts` (windows, forms) are the sums of the linear forms over clean windows of `WINDOW_EVENTS` each, `owners`
    (forms, statistics) of 0 and 1 says whose each form is. `population` is that of `ReferenceStatistics`.
    """
    mean, sd = _moments(parts, owners, rng)
    highest = _highest_scores(parts, owners, mean, sd, population, rng)
    thresholds = [_thresholds(paths) for paths in highest]
    rarity = Rarity(np.array(thresholds), SPACINGS)
    rarest = np.array([rarity(stream.T.astype(np.float64)).max(axis=1) for stream in highest.transpose(1, 0, 2)])
    found = {
        name: Null(mean=rounded_all(mean[:, at]), sd=rounded_all(sd[:, at]), thresholds=rounded_all(thresholds[at]))
        for at, name in enumerate(names)
    }
    return {**found, ALL: Null(mean=(), sd=(), thresholds=rounded_all(_thresholds(rarest)))}


def rounded_all(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    """Return the values as a manifest has them."""
    return tuple(rounded(float(value)) for value in values)


def rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _moments(parts: Floats32, owners: Floats32, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return mean and sd (sizes, statistics) of the fourth root of each statistic in each size of window."""
    means, sds = [], []
    for size in WINDOW_GRID:
        rounds = 2 if size > 4 else 1  # the same windows joined in another order
        joined = np.concatenate([_joined(parts[rng.permutation(len(parts))], size) for _ in range(rounds)])
        roots = np.sqrt(np.sqrt(np.square(joined) @ owners / np.float32(size * WINDOW_EVENTS)))
        means.append(roots.mean(axis=0, dtype=np.float64))
        sds.append(np.maximum(roots.std(axis=0, dtype=np.float64), 1e-6))
    return np.array(means), np.array(sds)


def _joined(parts: Floats32, size: int) -> Floats32:
    count = len(parts) // size
    joined: Floats32 = parts[: count * size].reshape(count, size, -1).sum(axis=1)
    return joined


def _highest_scores(
    parts: Floats32, owners: Floats32, mean: Floats, sd: Floats, population: int, rng: np.random.Generator
) -> Floats32:
    """Return the highest score so far in simulated streams, (statistics, streams, windows)."""
    lengths = suffix_lengths(_STREAM_WINDOWS)
    sizes = np.arange(1, max(map(max, lengths)) + 1)
    place = np.interp(np.log(sizes), np.log(WINDOW_GRID), np.arange(len(WINDOW_GRID)))
    mean_of, sd_of = (
        np.array([np.interp(place, np.arange(len(WINDOW_GRID)), column) for column in table.T], dtype=np.float32).T
        for table in (mean, sd)
    )
    found = np.empty((owners.shape[1], _STREAMS, _STREAM_WINDOWS), dtype=np.float32)
    chunk = 200
    for first in range(0, _STREAMS, chunk):
        drawn = parts[rng.integers(len(parts), size=(_STREAM_WINDOWS, chunk))]
        sums = np.concatenate([np.zeros_like(drawn[:1]), drawn]).cumsum(axis=0)
        off = _population_offset(parts, chunk, population, rng)
        for window, suffixes in enumerate(lengths):
            of = np.array(suffixes)
            events = (of * WINDOW_EVENTS).astype(np.float32)[:, None, None]
            inside = sums[window + 1] - sums[window + 1 - of] + off * events
            squares = np.square(inside) @ owners / (events * (1 + events / population))
            scores = (np.sqrt(np.sqrt(squares)) - mean_of[of - 1][:, None]) / sd_of[of - 1][:, None]
            found[:, first : first + chunk, window] = scores.max(axis=0).T
    return np.maximum.accumulate(found, axis=2)


def _population_offset(parts: Floats32, streams: int, population: int, rng: np.random.Generator) -> Floats32:
    """Return how far each stream's own population is off in an event, (streams, forms).

    A population is a sample of `population` patients, so its deviation has the covariance of one event over that many:
    a random combination of windows has it.
    """
    some = parts[:1000]
    drawn = rng.standard_normal((streams, len(some)), dtype=np.float32)
    return drawn @ some / np.float32(np.sqrt(len(some) * WINDOW_EVENTS * population))


def _thresholds(highest: npt.NDArray[np.floating]) -> Floats:
    """Return the thresholds that streams reach once in `SPACINGS` windows on average, rising.

    `highest` (streams, windows) are the highest values so far. Up to the end of the streams the mean is of what they
    did; what has not alarmed then goes on at the rate since their memory was full.
    """
    levels = np.unique(np.concatenate([np.quantile(highest[:, at], _LEVELS) for at in (4, _SETTLED, -1)]))
    spacing = []
    for level in levels:
        waiting = (highest < level).mean(axis=0, dtype=np.float64)  # share of the streams without an alarm, by window
        rate = (waiting[_SETTLED - 1] - waiting[-1]) / max(waiting[_SETTLED - 1 : -1].sum(), 1e-12)
        spacing.append(1 + waiting.sum() + (waiting[-1] / rate if rate > 0 else 0.0))
    found = np.interp(np.log(SPACINGS), np.log(np.maximum.accumulate(spacing)), levels)
    steps = _STEP * np.arange(len(SPACINGS))  # so that they rise
    rising: Floats = np.maximum.accumulate(np.rint(found / _STEP) * _STEP - steps) + steps
    return rising
