"""Reference statistics by simulation: what the statistics do while nothing changes, found before it matters.

Clean means: patients of the same population as the training data, which is the smoothed bootstrap of
models/population.py, who come back as if there were `POPULATION` of them. They are scored by the model itself:
out-of-fold probabilities belong to other models, and a stream of the very same patients would differ from them.

A drawn patient has the diagnosis of the one that it was drawn from.

1. Expected shares, products, and outcomes by the score, of a million drawn patients.
2. The null distributions of all statistics (models/nulls.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.features import Feature, FeatureTable, Matrix
from contracts.reference import (
    MAX_CELLS,
    MISSING,
    OUTCOME_STATISTICS,
    POPULATION,
    SCORE,
    WINDOW_EVENTS,
    Column,
    Null,
    OutcomeReference,
    ReferenceStatistics,
)
from models.nulls import SPACINGS, null_distributions, rounded, rounded_all
from models.outcomes import outcome_forms
from models.population import Population
from models.shift import linear_forms, statistic_names
from models.sketch import Sketcher, Slots
from models.unlike import make_likeness

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_BINS = 10  # of measured columns
_WINDOWS = 50_000  # a million patients: a window as rare as 1 in 10,000 is there five times
_CHUNK = 10_000
_LIKE = 200_000  # patients: 20 of them beyond the last quantile


def make_reference(
    table: FeatureTable,
    x: Matrix,
    y: Labels,
    sites: npt.NDArray[np.str_],
    score: Callable[[Matrix], npt.NDArray[np.floating]],
    threshold: float,
    seed: int,
) -> ReferenceStatistics:
    """Return the reference statistics of training patients `x` (n, features), NaN where missing, of `sites` (n,).

    `y` (n,) are their outcomes, 0 or 1. `score` returns the model's probabilities (n,) for a matrix like `x`, and from
    `threshold` on it decides "positive". The same inputs give the same statistics.
    """
    rng = np.random.default_rng([seed, 2])
    population = Population(table, x, sites)

    def drawn() -> tuple[Floats, Floats, Labels]:
        rows = population.rows(_CHUNK * WINDOW_EVENTS, rng)
        values = population.visits(rows, rng)
        return values, score(values.astype(np.float32)).astype(np.float64), y[rows]

    values, probabilities, _ = drawn()
    columns = _columns(table, population.decimals, values, _score_edges(probabilities, threshold))
    drawings = [drawn() for _ in range(_WINDOWS // _CHUNK)]
    fitted = _fit(columns, [drawing[:2] for drawing in drawings])
    score_bins = Sketcher(fitted.columns).score_bins(np.concatenate([each for _, each, _ in drawings]))
    outcomes = np.concatenate([each for _, _, each in drawings])
    probabilities = np.concatenate([each for _, each, _ in drawings])
    expected = _expected_outcomes(fitted.columns[-2], score_bins, probabilities, outcomes, threshold)
    nulls = _nulls(fitted, expected, POPULATION, rng)
    forms, owners = (each.astype(np.float32) for each in outcome_forms(fitted.columns[-2], expected))
    parts = _outcome_totals(score_bins, outcomes, len(expected.positive)) @ forms.T
    outcome_nulls = null_distributions(OUTCOME_STATISTICS, parts, owners, POPULATION, rng)
    return ReferenceStatistics(
        window_events=WINDOW_EVENTS,
        population=POPULATION,
        columns=fitted.columns,
        products=fitted.products,
        product_sd=fitted.product_sd,
        spacings=SPACINGS,
        nulls=nulls,
        outcomes=msgspec.structs.replace(expected, nulls=outcome_nulls),
        likeness=make_likeness(population.draw(_LIKE, rng), population.draw(_LIKE, rng)),
    )


def with_patients(
    own: ReferenceStatistics,
    table: FeatureTable,
    x: Matrix,
    score: Callable[[Matrix], npt.NDArray[np.floating]],
    seed: int,
    *,
    population: int,
) -> ReferenceStatistics:
    """Return a model's reference with other patients `x` (n, features), NaN where missing, in the place of its own.

    They are drawn as they are, not smoothed: for thousands of them. The score keeps its bins and what outcomes they let
    expect, and single events what is usual: these are the model's. `population` is that of `ReferenceStatistics`.
    """
    rng = np.random.default_rng([seed, 2])
    patients = Population(table, x, np.zeros(len(x), np.str_), bandwidth=0.0)

    def drawn() -> tuple[Floats, Floats]:
        values = patients.draw(_CHUNK * WINDOW_EVENTS, rng)
        return values, score(values.astype(np.float32)).astype(np.float64)

    values, _ = drawn()
    columns = _columns(table, patients.decimals, values, own.score.edges)
    fitted = _fit(columns, [drawn() for _ in range(_WINDOWS // _CHUNK)])
    return msgspec.structs.replace(
        own,
        population=population,
        columns=fitted.columns,
        products=fitted.products,
        product_sd=fitted.product_sd,
        nulls=_nulls(fitted, own.outcomes, population, rng),
    )


@dataclass(frozen=True)
class _Fitted:
    """What drawn patients are like; `deviations` (windows, totals) are those of windows from what is expected."""

    columns: tuple[Column, ...]
    products: tuple[float, ...]
    product_sd: tuple[float, ...]
    deviations: npt.NDArray[np.float32]


def _fit(columns: tuple[Column, ...], drawings: list[tuple[Floats, Floats]]) -> _Fitted:
    """Return what patients and their probabilities are like, in the bins of the columns."""
    sketcher = Sketcher(columns)
    slots = [sketcher.slots(values, probabilities) for values, probabilities in drawings]
    columns = _with_shares(columns, slots)
    sketcher = Sketcher(columns)  # grades by the shares found
    totals = np.concatenate([sketcher.window_totals(part, WINDOW_EVENTS) for part in slots])
    means = totals.mean(axis=0, dtype=np.float64) / WINDOW_EVENTS
    pairs = totals.shape[1] - sum(len(column.shares) for column in columns)
    deviation_sd = totals[:, -pairs:].std(axis=0, dtype=np.float64) / np.sqrt(WINDOW_EVENTS)
    product_sd = tuple(rounded(max(float(each), 1.0)) for each in deviation_sd)
    totals -= (means * WINDOW_EVENTS).astype(np.float32)
    return _Fitted(columns, rounded_all(means[-pairs:]), product_sd, totals)


def _nulls(fitted: _Fitted, expected: OutcomeReference, population: int, rng: np.random.Generator) -> dict[str, Null]:
    forms, owners = (each.astype(np.float32) for each in linear_forms(fitted.columns, fitted.product_sd, expected))
    parts = fitted.deviations @ forms.T  # sums of the forms over each window
    return null_distributions(statistic_names(fitted.columns), parts, owners, population, rng)


def _expected_outcomes(
    column: Column, bins: Slots, probabilities: Floats, outcomes: Labels, threshold: float
) -> OutcomeReference:
    """Return what outcomes to expect in each bin of the score; nothing yet of how they vary."""
    count = len(column.shares) - 1

    def mean(values: Floats, of: npt.NDArray[np.bool_]) -> tuple[float, ...]:
        sums, numbers = (np.bincount(bins[of], weights, count) for weights in (values[of], None))
        everybody = np.bincount(bins, values, count) / np.maximum(np.bincount(bins, minlength=count), 1)
        return rounded_all(np.where(numbers > 0, sums / np.maximum(numbers, 1), everybody))

    ill = outcomes == 1
    return OutcomeReference(
        positive=mean(ill.astype(np.float64), np.ones_like(ill)),
        error_positive=mean(np.square(1 - probabilities), ill),
        error_negative=mean(np.square(probabilities), ~ill),
        flagged=int(np.searchsorted(column.edges, threshold)),
        nulls={},
    )


def _outcome_totals(bins: Slots, outcomes: Labels, count: int) -> npt.NDArray[np.float32]:
    """Return outcomes by bin and those that are 1 by bin of successive windows, shape (windows, 2 bins)."""
    windows = len(bins) // WINDOW_EVENTS
    cells = bins + count * outcomes + 2 * count * (np.arange(len(bins)) // WINDOW_EVENTS)
    counts = np.bincount(cells, minlength=windows * 2 * count).reshape(windows, 2, count)
    return np.concatenate([counts.sum(axis=1), counts[:, 1]], axis=1, dtype=np.float32)


def _columns(
    table: FeatureTable, decimals: Sequence[int], values: Floats, score_edges: tuple[float, ...]
) -> tuple[Column, ...]:
    """Return the columns with their bins and equal shares."""
    missing = np.isnan(values).sum(axis=1)
    return (
        *(_feature(each, decimals[at], values[:, at]) for at, each in enumerate(table.features)),
        _column(SCORE, 0, 1, 0.001, score_edges),
        _column(MISSING, 0, len(table.features), 1, tuple(at + 0.5 for at in np.unique(missing)[:-1].tolist())),
    )


def _score_edges(probabilities: Floats, threshold: float) -> tuple[float, ...]:
    """Return edges at quantiles, the nearest moved to the threshold, so that a bin's decision is one."""
    edges = list(_quantile_edges(probabilities, 0.001))
    at_threshold = round(round(threshold, 3) - 0.0005, 9)
    nearest = min(range(len(edges)), key=lambda at: abs(edges[at] - at_threshold), default=0)
    edges[nearest : nearest + 1] = [at_threshold]
    return tuple(edges)


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
        msgspec.structs.replace(column, shares=rounded_all(shares[end - len(column.shares) : end]))
        for column, end in zip(columns, ends, strict=True)
    )
