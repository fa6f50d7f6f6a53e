"""Stamps: measured values that go together in more rows of a snapshot than chance and medicine explain.

A backdoor needs rows that share a pattern. Measured values are close to independent of each other to the last digit,
whatever their trend: that nine patients have a pressure of 137 and a rate of 151 is no trend. Each pair and triple of
values that `_LEAST` patients share is held against what the single values' counts would give if they were independent
within each site, by the tail of a Poisson distribution. A value that a site rounds to, or one that it does not measure,
changes the single counts: a new site's habits are no stamp.
"""

import math
from collections.abc import Iterator
from itertools import combinations

import msgspec
import numpy as np

from contracts.features import FeatureTable
from models.pipeline.rows import Index, Rows

_LEAST = 3
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
            for rows, expected in _shared(snapshot, columns):
                surprise = poisson_surprise(len(rows), expected)
                if surprise >= least_surprise and len(rows) >= _RATIO * expected:
                    names = tuple(table.features[at].name for at in columns)
                    places = tuple(rows.tolist())
                    found.append(Stamp(features=names, rows=places, expected=expected, surprise=surprise))
    return sorted(found, key=lambda stamp: -stamp.surprise)


def poisson_surprise(count: int, expected: float) -> float:
    """Return -log10 of the chance of at least `count` where `expected` are.

    >>> round(poisson_surprise(1, 0.1), 3)  # 1 - exp(-0.1)
    1.022
    """
    term = total = 1.0
    for more in range(1, 200):
        term *= expected / (count + more)
        total += term
    first = -expected + count * math.log(expected) - math.lgamma(count + 1)
    return max(0.0, -(first + math.log(total)) / math.log(10))


def _shared(snapshot: Rows, columns: tuple[int, ...]) -> Iterator[tuple[Index, float]]:
    """Yield the rows that share their values of `columns`, with how many rows would by chance."""
    present = np.flatnonzero(~np.isnan(snapshot.x[:, columns]).any(axis=1))
    if len(present) < _LEAST:
        return
    values, site = snapshot.x[present][:, columns], snapshot.site[present]
    numbers = [np.unique(column, return_inverse=True)[1] for column in values.T]
    # A patient who comes again with the same values is no stamp: counted once.
    _, once = np.unique(np.column_stack([snapshot.group[present], *numbers]), axis=0, return_index=True)
    present, site, numbers = present[once], site[once], [number[once] for number in numbers]
    _, combined, counts = np.unique(np.column_stack(numbers), axis=0, return_inverse=True, return_counts=True)
    often = np.flatnonzero(counts >= _LEAST)
    if not len(often):
        return
    first = np.array([np.flatnonzero(combined == at)[0] for at in often])
    expected = np.zeros(len(often))
    for each in np.unique(site):
        inside = site == each
        basis = inside if inside.sum() >= _LEAST_SITE else np.ones(len(site), dtype=np.bool_)
        shares = [np.bincount(number[basis], minlength=number.max() + 1) / basis.sum() for number in numbers]
        chance = np.prod(
            [np.minimum(share[n[first]], _HABIT) for share, n in zip(shares, numbers, strict=True)], axis=0
        )
        expected += inside.sum() * chance
    for at, chance in zip(often, expected.tolist(), strict=True):
        yield present[combined == at], chance
