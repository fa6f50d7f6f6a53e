"""How unlike the reference's patients one event is, all its features together.

The squared Mahalanobis distance of the standardised values, which are cut at `_CUT` standard deviations so that no
single value rules it, and 0 where missing. What a distance means is read off the distances of the reference's own
patients. It sees values that do not go together, each of them usual; it cannot see a query that is a true patient's
copy, and no score of one event can.
"""

import numpy as np
import numpy.typing as npt

from contracts.reference import LIKENESS_GRID, Likeness

Floats = npt.NDArray[np.float64]

_CUT = 5.0
_RIDGE = 1e-3  # added to each variance: two features that say the same must not make a direction of no variance


class Unlike:
    """Scores events against one reference."""

    def __init__(self, likeness: Likeness) -> None:
        self._mean, self._sd = np.array(likeness.mean), np.array(likeness.sd)
        self._whitening = np.array(likeness.whitening)
        self._grid = np.array([0.0, *likeness.distances])

    def __call__(self, values: Floats) -> Floats:
        """Return the share of the reference's patients who are less unusual, (n,), 0 to `LIKENESS_GRID`'s last.

        `values` (n, features) float64, NaN where missing.
        """
        distances = np.square(_standardised(values, self._mean, self._sd) @ self._whitening).sum(axis=1)
        shares: Floats = np.interp(distances, self._grid, (0.0, *LIKENESS_GRID))
        return shares


def make_likeness(values: Floats, others: Floats) -> Likeness:
    """Return what is usual of patients `values` (n, features), by the distances of as many `others` of their kind."""
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, values, 0.0).sum(axis=0) / count
    sd = np.maximum(np.sqrt(np.square(np.where(present, values - mean, 0.0)).sum(axis=0) / count), 1e-6)
    covariance = np.cov(_standardised(values, mean, sd).T) + _RIDGE * np.eye(values.shape[1])
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    distances = np.square(_standardised(others, mean, sd) @ whitening).sum(axis=1)
    return Likeness(
        mean=tuple(map(_rounded, mean.tolist())),
        sd=tuple(map(_rounded, sd.tolist())),
        whitening=tuple(tuple(map(_rounded, row)) for row in whitening.tolist()),
        distances=tuple(map(_rounded, np.quantile(distances, LIKENESS_GRID).tolist())),
    )


def _standardised(values: Floats, mean: Floats, sd: Floats) -> Floats:
    found: Floats = np.clip((values - mean) / sd, -_CUT, _CUT)
    found[np.isnan(found)] = 0.0
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")  # so that the last bits of a sum do not change the bundle's digest
