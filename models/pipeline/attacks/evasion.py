"""Evasion: how far must measurements be moved, within what a body can have, until the decision turns?

The attacker sees probabilities, as any reader of the predictions topic does. Codes, age, sex and gaps stay as they are;
each measured value may move by at most a share of its feature's usual range, and never out of its hard range, in steps
that the feature is written in. Within such a box the values are tried one after the other, the best kept, twice round
(coordinate descent). For a sum of one curve a feature, which the shipped model is, the first round already finds the
worst case (Wang, Zhang, Chen, Boning and Hsieh, On Lp-norm robustness of ensemble decision stumps and trees, ICML
2020), so what is measured is not a weak attacker's success but the bound of every attacker's.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.features import FeatureTable, Matrix
from models.fit import Vector
from models.pipeline.champion import Scorer
from models.pipeline.rows import Rows
from models.population import decimals

BUDGETS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
"""Shares of the usual range."""

_TRIES = 21  # values in a box, both ends and the value itself among them
_ROUNDS = 2
_KEPT = ("age", "sex")  # of a patient, not of a measurement


@dataclass(frozen=True)
class Evasion:
    """`needed` (n,) is the smallest budget that turned each decision, infinite where none did."""

    needed: Vector

    def success(self, budget: float) -> float:
        """Return the share of decisions that turn within `budget`."""
        return float((self.needed <= budget).mean())

    @property
    def median(self) -> float:
        """The median budget of those that turn at all, NaN where none does."""
        turned = self.needed[np.isfinite(self.needed)]
        return float(np.median(turned)) if len(turned) else float("nan")


def evade(table: FeatureTable, score: Scorer, threshold: float, rows: Rows) -> Evasion:
    """Attack every right decision of `rows`: ill patients who are found, healthy ones who are left alone."""
    positive = np.asarray(score(rows.x)) >= threshold
    right = positive == (rows.y == 1)
    x, ill = rows.x[right], positive[right]
    needed = np.full(len(x), np.inf)
    for budget in BUDGETS:
        left = np.flatnonzero(np.isinf(needed))
        if not len(left):
            break
        moved = _worst(table, score, x[left], ill[left], budget)
        turned = (np.asarray(score(moved)) >= threshold) != ill[left]
        needed[left[turned]] = budget
    return Evasion(needed)


def _worst(table: FeatureTable, score: Scorer, x: Matrix, down: npt.NDArray[np.bool_], budget: float) -> Matrix:
    """Return `x` with the probability as low (where `down`) or as high as the attack gets it within the budget."""
    best = x.copy()
    sign = np.where(down, 1.0, -1.0)
    lowest = sign * np.asarray(score(best))
    for _ in range(_ROUNDS):
        for column, feature in enumerate(table.features):
            if feature.codes or feature.name in _KEPT:
                continue
            there = np.flatnonzero(~np.isnan(x[:, column]))
            if not len(there):
                continue
            reach = budget * (feature.usual[1] - feature.usual[0])
            step = 10.0 ** -decimals(x[there, column])
            offsets = np.unique(np.trunc(np.linspace(-reach, reach, _TRIES) / step) * step)
            tried = np.clip(x[there, column][:, None] + offsets, *feature.hard).astype(np.float32)
            stacked = np.repeat(best[there], tried.shape[1], axis=0)
            stacked[:, column] = tried.ravel()
            found = sign[there][:, None] * np.asarray(score(stacked)).reshape(tried.shape)
            at = found.argmin(axis=1)
            better = found.min(axis=1) < lowest[there]
            rows = there[better]
            best[rows, column] = tried[better, at[better]]
            lowest[rows] = found.min(axis=1)[better]
    return best
