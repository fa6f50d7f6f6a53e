"""More patients like those of the training data: a smoothed bootstrap.

A patient is a real row of a site (so which values go together, and which are missing together, stays as it is) with
its measured values moved a little, in a way that keeps mean and variance (Silverman, Density Estimation, 1986, section
6.4.1). It is how producers/synthetic.py makes patients too.
"""

import numpy as np
import numpy.typing as npt

from contracts.features import FeatureTable, Matrix

BANDWIDTH = 0.25
"""Of the kernel in standard deviations: visibly not the same row, still inside its neighbourhood."""

_MAX_DECIMALS = 3

Floats = npt.NDArray[np.float64]


class Population:
    """Draws from `x` (n, features), NaN where missing, smoothed within the `sites` (n,).

    `bandwidth` is the kernel's, in standard deviations; 0 draws the rows as they are, which is for thousands of them.
    """

    def __init__(
        self, table: FeatureTable, x: Matrix, sites: npt.NDArray[np.str_], *, bandwidth: float = BANDWIDTH
    ) -> None:
        self._bandwidth = bandwidth
        self.decimals = tuple(decimals(column) for column in x.T)
        self._values = x.astype(np.float64).round(_MAX_DECIMALS)
        self._mean, self._sd, self._low, self._high = (np.zeros_like(self._values) for _ in range(4))
        self._measured = np.array([feature.codes is None for feature in table.features])
        for site in np.unique(sites):
            rows = sites == site
            for column in range(x.shape[1]):
                present = self._values[rows, column]
                present = present[~np.isnan(present)]
                if present.size:
                    self._mean[rows, column] = present.mean()
                    self._sd[rows, column] = present.std() if self._measured[column] else 0.0
                    self._low[rows, column] = present.min()
                    self._high[rows, column] = present.max()

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        """Return `count` patients, shape (count, features) float64, NaN where missing."""
        return self.visits(self.rows(count, rng), rng)

    def rows(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return which real rows `count` patients are to be like: their diagnoses are theirs."""
        return rng.integers(len(self._values), size=count)

    def visits(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Return a patient like each of `rows`, shape (rows, features) float64, NaN where missing."""
        count = len(rows)
        found = self._values[rows]
        for column in np.flatnonzero(self._measured):
            mean, scale = self._mean[rows, column], 10.0 ** self.decimals[column]
            noise = self._bandwidth * self._sd[rows, column] * rng.standard_normal(count)
            moved = mean + (found[:, column] - mean + noise) / np.sqrt(1 + self._bandwidth**2)
            moved = np.rint(moved * scale) / scale
            found[:, column] = np.clip(moved, self._low[rows, column], self._high[rows, column])
        return found


def decimals(column: npt.NDArray[np.floating]) -> int:
    """Return how many decimals the values of a column have, at most 3.

    >>> decimals(np.array([1.5, np.nan, 2.0])), decimals(np.array([63.0]))
    (1, 0)
    """
    present = column[~np.isnan(column)].astype(np.float64)
    for count in range(_MAX_DECIMALS):
        if np.allclose(present, np.round(present, count), rtol=0, atol=1e-5 * 10**-count + 1e-6 * np.abs(present)):
            return count
    return _MAX_DECIMALS
