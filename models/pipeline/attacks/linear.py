"""A plain logistic regression that judges labels: not the model under test, and fast enough to fit a thousand times.

Medians for gaps, measured values in standard deviations, a column a code, a column a site; a site that it never saw has
zeros there. Ridge penalty 1, fitted by Newton's method (Hastie, Tibshirani and Friedman, The Elements of Statistical
Learning, 2009, section 4.4).
"""

import numpy as np
import numpy.typing as npt

from contracts.features import FeatureTable, Matrix
from models.fit import Labels, Vector
from models.pipeline.rows import Rows

_RIDGE = 1.0
_STEPS = 12


class Encoder:
    """Turns rows into columns (n, k) as the `trusted` rows define them."""

    def __init__(self, table: FeatureTable, trusted: Rows) -> None:
        self._medians = np.array(
            [np.median(column[~np.isnan(column)]) if len(column) else 0.0 for column in trusted.x.T]
        )
        self._codes = [[float(code) for code in feature.codes or ()] for feature in table.features]
        filled = self._filled(trusted.x)
        self._mean, self._sd = filled.mean(axis=0), np.maximum(filled.std(axis=0), 1e-9)
        self.sites = np.unique(trusted.site)

    def __call__(self, rows: Rows) -> Vector:
        filled = self._filled(rows.x)
        columns = [np.ones(len(rows))]
        for at, codes in enumerate(self._codes):
            if len(codes) > 2:
                columns += [filled[:, at] == code for code in codes]
            else:
                columns.append((filled[:, at] - self._mean[at]) / self._sd[at])
        columns += [rows.site == site for site in self.sites]
        return np.column_stack(columns).astype(np.float64)

    def _filled(self, x: Matrix) -> npt.NDArray[np.float64]:
        return np.where(np.isnan(x), self._medians, x).astype(np.float64)


def fit_ridge(columns: Vector, y: Labels | Vector, start: Vector | None = None, steps: int = _STEPS) -> Vector:
    """Return the weights (k,) of a logistic regression; a few `steps` are enough from a `start` nearby."""
    weights = np.zeros(columns.shape[1]) if start is None else start
    penalty = np.full(columns.shape[1], _RIDGE)
    penalty[0] = 1e-6  # the constant
    for _ in range(steps):
        p = probability(columns @ weights)
        slope = columns.T @ (y - p) - penalty * weights
        curvature = (columns * (p * (1 - p))[:, None]).T @ columns + np.diag(penalty)
        weights = weights + np.linalg.solve(curvature, slope)
    return weights


def probability(margin: Vector) -> Vector:
    found: Vector = 1 / (1 + np.exp(-np.clip(margin, -5, 5)))  # no label is surer than 0.993: some are wrong
    return found
