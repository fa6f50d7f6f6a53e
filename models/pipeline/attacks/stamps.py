"""Stamps: measured values that go together in more rows of a snapshot than chance and medicine explain.

A backdoor needs rows that share a pattern. Measured values are close to independent of each other to the last digit,
whatever their trend: that nine patients have a pressure of 137 and a rate of 151 is no trend. Each pair and triple of
values that `_LEAST` patients share is held against what the single values' counts would give if they were independent
within each site: over all sites by the tail of a Poisson distribution, in each site by itself by Fisher's exact test.
A value that a site rounds to, or one that it does not measure, changes the single counts: a new site's habits are no
stamp.
"""

import math
from collections.abc import Iterator
from itertools import combinations

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom, poisson

from contracts.features import FeatureTable
from models.pipeline.rows import Index, Rows

_LEAST = 3
_LN10 = math.log(10)
_RATIO = 5.0  # age and heart rate go together up to three times as often; a stamp of 1% of the rows fifty times

_HABIT = 0.4  # no value is taken to be more usual than this: a site that sends one pattern alone has no habit
_LEAST_SITE = 20  # fewer rows with these values have no habits of their own


class Stamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`rows` share their values of `features`, where `expected` would; `surprise` is minus the log10 of the chance."""

    features: tuple[str, ...]
    rows: tuple[int, ...]
    expected: float
    surprise: float


def stamps(table: FeatureTable, snapshot: Rows, least_surprise: float) -> list[Stamp]:
    """Return the stamps of at least `least_surprise`, the most surprising first."""
    measured = [at for at, feature in enumerate(table.features) if feature.codes is None]
    found = []
    for size in (2, 3):
        for columns in combinations(measured, size):
            for rows, expected, surprise in _shared(snapshot, columns):
                if surprise >= least_surprise:
                    names = tuple(table.features[at].name for at in columns)
                    places = tuple(rows.tolist())
                    found.append(Stamp(features=names, rows=places, expected=expected, surprise=surprise))
    return sorted(found, key=lambda stamp: -stamp.surprise)


def _shared(snapshot: Rows, columns: tuple[int, ...]) -> Iterator[tuple[Index, float, float]]:
    """Yield the rows that share their values of `columns`, how many would by chance, and how surprising that is."""
    present = np.flatnonzero(~np.isnan(snapshot.x[:, columns]).any(axis=1))
    if len(present) < _LEAST:
        return
    site = np.unique(snapshot.site[present], return_inverse=True)[1]
    numbers = np.column_stack([np.unique(snapshot.x[present, at], return_inverse=True)[1] for at in columns])
    # A patient who comes again with the same values is no stamp: counted once.
    _, once = np.unique(np.column_stack([snapshot.group[present], numbers]), axis=0, return_index=True)
    present, site, numbers = present[once], site[once], numbers[once]
    distinct, combined, counts = np.unique(numbers, axis=0, return_inverse=True, return_counts=True)
    for at in np.flatnonzero(counts >= _LEAST):
        same = numbers == distinct[at]
        shared = combined == at
        expected = 0.0
        surprise = 0.0
        for each in np.unique(site[shared]):
            inside = site == each
            own = inside.sum() >= _LEAST_SITE
            shares = same[inside].mean(axis=0) if own else same.mean(axis=0)
            expected += float(inside.sum() * np.prod(np.minimum(shares, _HABIT)))
            surprise = max(surprise, _site_surprise(same[inside]) if own else 0.0)
        if counts[at] >= _RATIO * expected:
            surprise = max(surprise, -float(poisson.logsf(counts[at] - 1, expected)) / _LN10)
        yield present[shared], expected, min(surprise, 300.0)


def _site_surprise(same: npt.NDArray[np.bool_]) -> float:
    """Return how surprising it is that rows of one site share all their values, from who has which, (n, columns).

    Each value is held against all the others together (Fisher's exact test); the least surprising of them counts.
    """
    least = 300.0
    for column in range(same.shape[1]):
        one, rest = same[:, column], np.delete(same, column, axis=1).all(axis=1)
        n, both = len(same), int((one & rest).sum())
        only_one, only_rest = int(one.sum()) - both, int(rest.sum()) - both
        odds = both * (n - both - only_one - only_rest) / ((only_one + 0.5) * (only_rest + 0.5))
        if both < _LEAST or odds < _RATIO:
            return 0.0
        least = min(least, -float(hypergeom.logsf(both - 1, n, both + only_one, both + only_rest)) / _LN10)
    return least
