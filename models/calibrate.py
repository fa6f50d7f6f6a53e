"""Reference statistics by simulation: what the statistics do while nothing changes, found before it matters.

Clean means: patients of the same population as the training data, which is the smoothed bootstrap of
models/population.py, who come back as if there were `POPULATION` of them. They are scored by the model itself:
out-of-fold probabilities belong to other models, and a stream of the very same patients would differ from them.

1. Expected shares and products, of a million drawn patients.
2. Mean and standard deviation of each statistic's fourth root for windows of several sizes.
3. The mean number of windows to a false alarm for thresholds of each statistic alone and of the rarest of all, from
   simulated streams through the detector's own memory (models/recent.py). The thresholds of the rarest are the
   correction for the number of tests, with the dependence of the statistics in it.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.features import Feature, FeatureTable, Matrix
from models.population import Population
from models.recent import suffix_lengths
from models.reference import (
    ALL,
    MAX_CELLS,
    MISSING,
    POPULATION,
    SCORE,
    WINDOW_EVENTS,
    WINDOW_GRID,
    Column,
    Null,
    ReferenceStatistics,
)
from models.shift import Rarity, linear_forms, statistic_names
from models.sketch import Sketcher, Slots
from models.unlike import make_likeness

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]

SPACINGS = tuple(20.0 * 2**doubling for doubling in range(9))

_BINS = 10  # of measured columns
_WINDOWS = 50_000  # a million patients: a window as rare as 1 in 10,000 is there five times
_CHUNK = 10_000
_STREAMS = 2000
_STREAM_WINDOWS = 320
_SETTLED = 64  # windows until the detector's memory is full: alarms come at an even rate from here
_LIKE = 200_000  # patients: 20 of them beyond the last quantile
_LEVELS = np.linspace(0.02, 0.99, 40)
_DIGITS = 6  # so that the last bits of a sum do not change the bundle's digest


def make_reference(
    table: FeatureTable,
    x: Matrix,
    sites: npt.NDArray[np.str_],
    score: Callable[[Matrix], npt.NDArray[np.floating]],
    seed: int,
) -> ReferenceStatistics:
    """Return the reference statistics of training patients `x` (n, features), NaN where missing, of `sites` (n,).

    `score` returns the model's probabilities (n,) for a matrix like `x`. The same inputs give the same statistics.
    """
    rng = np.random.default_rng([seed, 2])
    population = Population(table, x, sites)

    def drawn(count: int) -> tuple[Floats, Floats]:
        values = population.draw(count, rng)
        return values, score(values.astype(np.float32)).astype(np.float64)

    columns = _columns(table, population.decimals, *drawn(_CHUNK * WINDOW_EVENTS))
    sketcher = Sketcher(columns)
    slots = [sketcher.slots(*drawn(_CHUNK * WINDOW_EVENTS)) for _ in range(_WINDOWS // _CHUNK)]
    columns = _with_shares(columns, slots)
    sketcher = Sketcher(columns)  # grades by the shares found
    totals = np.concatenate([sketcher.window_totals(part, WINDOW_EVENTS) for part in slots])
    means = totals.mean(axis=0, dtype=np.float64) / WINDOW_EVENTS
    pairs = totals.shape[1] - sum(len(column.shares) for column in columns)
    deviation_sd = totals[:, -pairs:].std(axis=0, dtype=np.float64) / np.sqrt(WINDOW_EVENTS)
    product_sd = tuple(_rounded(max(float(each), 1.0)) for each in deviation_sd)

    forms, owners = (each.astype(np.float32) for each in linear_forms(columns, product_sd))
    parts = (totals - (means * WINDOW_EVENTS).astype(np.float32)) @ forms.T  # sums of the forms over each window
    names = statistic_names(columns)
    mean, sd = _moments(parts, owners, rng)
    highest = _highest_scores(parts, owners, mean, sd, rng)
    thresholds = [_thresholds(paths) for paths in highest]
    rarity = Rarity(np.array(thresholds), SPACINGS)
    rarest = np.array([rarity(stream.T.astype(np.float64)).max(axis=1) for stream in highest.transpose(1, 0, 2)])
    nulls = {
        name: Null(mean=_rounded_all(mean[:, at]), sd=_rounded_all(sd[:, at]), thresholds=_rounded_all(thresholds[at]))
        for at, name in enumerate(names)
    }
    return ReferenceStatistics(
        window_events=WINDOW_EVENTS,
        columns=columns,
        products=_rounded_all(means[-pairs:]),
        product_sd=product_sd,
        spacings=SPACINGS,
        nulls={**nulls, ALL: Null(mean=(), sd=(), thresholds=_rounded_all(_thresholds(rarest)))},
        likeness=make_likeness(population.draw(_LIKE, rng), population.draw(_LIKE, rng)),
    )


def _columns(table: FeatureTable, decimals: Sequence[int], values: Floats, probabilities: Floats) -> tuple[Column, ...]:
    """Return the columns with their bins and equal shares."""
    missing = np.isnan(values).sum(axis=1)
    return (
        *(_feature(each, decimals[at], values[:, at]) for at, each in enumerate(table.features)),
        _column(SCORE, 0, 1, 0.001, _quantile_edges(probabilities, 0.001)),
        _column(MISSING, 0, len(table.features), 1, tuple(at + 0.5 for at in np.unique(missing)[:-1].tolist())),
    )


def _feature(feature: Feature, decimals: int, values: Floats) -> Column:
    low, high = feature.hard
    if feature.codes:
        codes = sorted(map(int, feature.codes))
        edges = tuple((a + b) / 2 for a, b in pairwise(codes))
        return _column(feature.name, low, high, 1, edges, coded=True)
    step = max(10.0**-decimals, (high - low) / (MAX_CELLS - 1))
    return _column(feature.name, low, high, step, _quantile_edges(values[~np.isnan(values)], step))


def _column(name: str, low: float, high: float, step: float, edges: tuple[float, ...], coded: bool = False) -> Column:
    bins = len(edges) + 1
    shares = (*(1 / bins for _ in range(bins)), 0.0)
    return Column(name=name, coded=coded, low=low, high=high, step=step, edges=edges, shares=shares)


def _quantile_edges(values: Floats, step: float) -> tuple[float, ...]:
    """Return edges half a step above quantiles, so that no value lies on one; ties make fewer bins."""
    if not len(values):
        return ()
    at = np.quantile(values, np.arange(1, _BINS) / _BINS, method="lower")
    edges = np.unique(np.round((np.rint(at / step) + 0.5) * step, 9))
    return tuple(edges[edges < values.max()].tolist())


def _with_shares(columns: tuple[Column, ...], slots: list[Slots]) -> tuple[Column, ...]:
    """Return the columns with the shares of the bins that were found."""
    ends = np.cumsum([len(column.shares) for column in columns]).tolist()
    counts = np.sum([np.bincount(part.ravel(), minlength=ends[-1]) for part in slots], axis=0)
    shares = counts / sum(map(len, slots))
    return tuple(
        msgspec.structs.replace(column, shares=_rounded_all(shares[end - len(column.shares) : end]))
        for column, end in zip(columns, ends, strict=True)
    )


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


def _highest_scores(parts: Floats32, owners: Floats32, mean: Floats, sd: Floats, rng: np.random.Generator) -> Floats32:
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
        off = _population_offset(parts, chunk, rng)
        for window, suffixes in enumerate(lengths):
            of = np.array(suffixes)
            events = (of * WINDOW_EVENTS).astype(np.float32)[:, None, None]
            inside = sums[window + 1] - sums[window + 1 - of] + off * events
            squares = np.square(inside) @ owners / (events * (1 + events / POPULATION))
            scores = (np.sqrt(np.sqrt(squares)) - mean_of[of - 1][:, None]) / sd_of[of - 1][:, None]
            found[:, first : first + chunk, window] = scores.max(axis=0).T
    return np.maximum.accumulate(found, axis=2)


def _population_offset(parts: Floats32, streams: int, rng: np.random.Generator) -> Floats32:
    """Return how far each stream's own population is off in an event, (streams, forms).

    A population is a sample of `POPULATION` patients, so its deviation has the covariance of one event over that many:
    a random combination of windows has it.
    """
    some = parts[:1000]
    drawn = rng.standard_normal((streams, len(some)), dtype=np.float32)
    return drawn @ some / np.float32(np.sqrt(len(some) * WINDOW_EVENTS * POPULATION))


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
    rising: Floats = np.maximum.accumulate(found) + 1e-4 * np.arange(len(SPACINGS))
    return rising


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _rounded_all(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(_rounded(float(value)) for value in values)
