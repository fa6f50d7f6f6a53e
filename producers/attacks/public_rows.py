"""The UCI patients as an attacker has them: public rows with diagnoses, the ranges of values, and a proxy model."""

import math

import numpy as np
import numpy.typing as npt

from contracts.heart_disease import HEART_DISEASE
from producers.csv_rows import read_rows
from producers.mapping import UCI_MAPPING, load_mapping
from producers.replay import UCI_CSV

Row = npt.NDArray[np.float64]
"""Features in the order of the table, NaN where missing: (features,), or (n, features) for several."""

MEASURED = np.array([feature.codes is None for feature in HEART_DISEASE.features])
"""Which features are measurements, (features,); the others are codes."""

# As devices and the files have them: whole numbers, ST depression to a tenth.
_DECIMALS = np.array([10.0 if feature.name == "oldpeak" else 1.0 for feature in HEART_DISEASE.features])
# On the way from one row to another codes turn one after the other, since half a code is none.
_TURNS = np.cumsum(~MEASURED) / (1 + np.sum(~MEASURED))


class PublicRows:
    """The rows `x` (n, features) and the diagnoses `ill` (n,), with a linear model of them.

    The proxy is the linear probability model by least squares, missing values at their means: what can be had in an
    afternoon from public data alone (ATLAS AML.T0005.000), and good enough to transfer (Papernot, McDaniel,
    Goodfellow, Transferability in Machine Learning, 2016).
    """

    def __init__(self) -> None:
        rows = list(read_rows(UCI_CSV, load_mapping(UCI_MAPPING, HEART_DISEASE), HEART_DISEASE))
        self.x: Row = np.array([row.features for row in rows], dtype=np.float64)  # None becomes NaN
        self.ill = np.array([bool(row.diagnosis) for row in rows])
        self._mean = np.nanmean(self.x, axis=0)
        self.sd = np.nanstd(self.x, axis=0)
        self._weights, *_ = np.linalg.lstsq(self._design(self.x), self.ill.astype(np.float64), rcond=None)

    def proxy(self, rows: Row) -> Row:
        """Return what the proxy takes for the probability of disease of rows (n, features), shape (n,) in [0, 1]."""
        return np.clip(self._design(rows) @ self._weights, 0.0, 1.0)

    def _design(self, rows: Row) -> Row:
        scaled = (np.where(np.isnan(rows), self._mean, rows) - self._mean) / self.sd
        return np.column_stack([np.ones(len(rows)), scaled])


def rounded(rows: Row) -> Row:
    """Return rows as a device writes them, measurements inside their hard ranges."""
    low, high = np.array([feature.hard for feature in HEART_DISEASE.features]).T
    inside: Row = np.clip(np.rint(rows * _DECIMALS) / _DECIMALS, low, high)
    return inside


def between(one: Row, other: Row, share: Row | float) -> Row:
    """Return what lies `share` (0 to 1) of the way from `one` to `other`, rounded; what either misses is as in `one`.

    The three broadcast: (features,) each, or (n, features) with shares (m, 1, 1).
    """
    goal = np.where(np.isnan(one) | np.isnan(other), one, other)
    return rounded(np.where(MEASURED, one + share * (goal - one), np.where(share >= _TURNS, goal, one)))


def features_of(row: Row) -> dict[str, float | int | None]:
    """Return a row as the `features` of an event: null where missing, 63 for 63.0."""
    return {
        name: None if math.isnan(value) else int(value) if value.is_integer() else value
        for name, value in zip(HEART_DISEASE.names, row.tolist(), strict=True)
    }
