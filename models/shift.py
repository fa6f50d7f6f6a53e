"""How far a set of events is from the reference: scores that mean the same for any number of events.

All statistics are sums of squares of linear forms of the deviation d = shares seen - shares expected, so a set of
sketches is scored by one multiplication of matrices:

- *measured columns, score, missing*: Anderson and Darling's distance of two distribution functions over the bins
  (Annals of Mathematical Statistics 23, 1952), which is strong against shifts, plus the rate of missing values;
- *coded columns*: Pearson's chi-squared over the codes and missing;
- *features*: all features' numbers together, for a little of change in many;
- *joint*: the deviations of the products of each two features, each over its standard deviation.

Their null distributions are weighted sums of chi-squared ones, and dependent. Their fourth root is nearly normal
(Hawkins and Wixley, The American Statistician 40, 1986), so mean and standard deviation, simulated at training for
windows of several sizes, turn it into a normal score.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.reference import (
    FEATURES,
    JOINT,
    POPULATION,
    WINDOW_GRID,
    Column,
    ReferenceStatistics,
)

Floats = npt.NDArray[np.float64]

_LEAST_VARIANCE = 0.1
"""What is rarer counts as if it varied this much. One event with a code that the training data hardly had would
otherwise be an alarm of its own, and what is missing together in a few patients would rule the statistics of small
windows, in steps so coarse that no threshold has the spacing that was set (1.3 times it at 0.02)."""


class ShiftStatistics:
    """The statistics of one reference."""

    def __init__(self, reference: ReferenceStatistics) -> None:
        self.names = statistic_names(reference.columns)
        self.expected = np.array([*(s for column in reference.columns for s in column.shares), *reference.products])
        self._forms, self._owners = linear_forms(reference.columns, reference.product_sd)
        nulls = [reference.nulls[name] for name in self.names]
        self._mean = np.array([null.mean for null in nulls])
        self._sd = np.array([null.sd for null in nulls])
        self._rarity = Rarity(np.array([null.thresholds for null in nulls]), reference.spacings)
        self._log_sizes = np.log(np.array(WINDOW_GRID) * reference.window_events)

    def scores(self, totals: Floats, events: Floats) -> Floats:
        """Return the normal scores (sets, statistics) of sets of events: near 0 without a change, higher is further.

        `totals` (sets, totals) are those of sketches and `events` (sets,) how many events each has.
        """
        deviations = totals / events[:, None] - self.expected
        squares = np.square(deviations @ self._forms.T) @ self._owners
        squares *= (events / (1 + events / POPULATION))[:, None]
        place = np.interp(np.log(events), self._log_sizes, np.arange(len(self._log_sizes)))
        below = np.minimum(place.astype(np.intp), len(self._log_sizes) - 2)
        part = place - below
        mean, sd = ((t[:, below] * (1 - part) + t[:, below + 1] * part).T for t in (self._mean, self._sd))
        found: Floats = (np.sqrt(np.sqrt(squares)) - mean) / sd
        return found

    def rarity(self, scores: Floats) -> Floats:
        """Return for `scores` (statistics,) the log of how many windows lie between two as high by chance."""
        return self._rarity(scores)

    def strongest_pair(self, totals: Floats, events: int) -> tuple[int, int]:
        """Return the places of the two features whose product deviates most; `totals` is (totals,)."""
        forms = self._forms[self._owners[:, -1] > 0] @ (totals / events - self.expected)
        at = int(np.abs(forms).argmax())
        first, second = np.triu_indices(len(self.names) - 4, 1)
        return int(first[at]), int(second[at])


class Rarity:
    """Turns scores of several statistics into one scale, which is what makes them comparable.

    Between the simulated thresholds the log of the spacing is interpolated; beyond the last it goes on along the last
    line, since the log of the mean time to a false alarm grows steadily with the threshold (Siegmund, Sequential
    Analysis, 1985).

    >>> Rarity(np.array([(1.0, 2.0, 4.0)]), (10.0, 100.0, 1000.0))(np.array([3.0])).round(3)
    array([5.756])
    """

    def __init__(self, thresholds: Floats, spacings: Sequence[float]) -> None:
        self._thresholds = thresholds
        self._logs = np.log(spacings)
        self._slopes = np.diff(self._logs) / np.diff(self._thresholds, axis=1)
        self._rows = np.arange(len(self._thresholds))

    def __call__(self, scores: Floats) -> Floats:
        """Return the log of the spacing in windows of `scores` (statistics,) or (..., statistics)."""
        line = (scores[..., None] >= self._thresholds[:, 1:-1]).sum(axis=-1)
        at = self._thresholds[self._rows, line]
        found: Floats = self._logs[line] + (scores - at) * self._slopes[self._rows, line]
        return found


def statistic_names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of the statistics in their order: each column's, then `FEATURES` and `JOINT`."""
    return (*(column.name for column in columns), FEATURES, JOINT)


def linear_forms(columns: Sequence[Column], product_sd: Sequence[float]) -> tuple[Floats, Floats]:
    """Return the forms (forms, totals) and which statistics each is part of, (forms, statistics) of 0 and 1."""
    parts = [_coded(column) if column.coded else _measured(column) for column in columns]
    bins, pairs = sum(part.shape[1] for part in parts), len(product_sd)
    rows = sum(len(part) for part in parts)
    forms = np.zeros((rows + pairs, bins + pairs))
    owners = np.zeros((rows + pairs, len(columns) + 2))
    row = bin_ = 0
    for place, part in enumerate(parts):
        mine = slice(row, row + len(part))
        forms[mine, bin_ : bin_ + part.shape[1]] = part
        owners[mine, place] = 1
        owners[mine, -2] = place < len(columns) - 2
        row, bin_ = row + part.shape[0], bin_ + part.shape[1]
    forms[row:, bins:] = np.diag(1 / np.array(product_sd))
    owners[row:, -1] = 1
    return forms, owners


def _measured(column: Column) -> Floats:
    """Deviations of the distribution function among the present values at each edge, and of the rate of missing."""
    shares = np.array(column.shares)
    present = 1 - shares[-1]
    below = np.cumsum(shares[:-1])[:-1] / max(present, 1e-9)
    weights = (shares[:-2] + shares[1:-1]) / 2
    weights = weights / max(weights.sum(), 1e-9)
    variance = np.maximum(below * (1 - below), _LEAST_VARIANCE) * max(present, _LEAST_VARIANCE)
    forms = np.zeros((len(below) + 1, len(shares)))
    for edge in range(len(below)):
        forms[edge, : edge + 1] = 1
        forms[edge, :-1] -= below[edge]
    forms[:-1] *= np.sqrt(weights / variance)[:, None]
    forms[-1, -1] = 1 / np.sqrt(max(shares[-1] * present, _LEAST_VARIANCE))
    return forms


def _coded(column: Column) -> Floats:
    """Deviations of each code and of missing; scaled so that a feature of many codes is no louder in `FEATURES`."""
    shares = np.array(column.shares)
    forms: Floats = np.diag(1 / np.sqrt(np.maximum(shares, _LEAST_VARIANCE) * (len(shares) - 1)))
    return forms
