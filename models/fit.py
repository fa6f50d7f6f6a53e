"""Fitting: additive gradient boosting, calibrated, with a threshold, all from the training patients alone.

*Boosting of stumps.* Each tree asks one question of one feature, so the model is a sum of one curve a feature. On
these patients deeper trees are no better (docs/model-card.md), and curves can be read, checked by a cardiologist, and
scored fast.

*Missing values.* Which values are missing tells where a patient was seen: cholesterol is missing for all of
Switzerland, where 93% are ill. Imputed by one number in training, that number becomes a sign of the site, and the
trees learn it. So training draws each missing value at random from the observed ones of its column (hot-deck
imputation: Andridge and Little, International Statistical Review 78, 2010), which leaves nothing to learn from a gap.
The model is the mean of five such draws (multiple imputation: Rubin, 1987); a mean of sums is a sum, so it is still
one curve a feature. Scoring takes the median.

*Calibration.* Platt's sigmoid over out-of-fold margins (Platt, Probabilistic outputs for support vector machines,
1999).

*Threshold.* The highest at which at least 90% of the ill are found, out of fold: before a further test, a missed
disease costs more than a test too many. A user with other costs takes the probability and another threshold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from contracts.errors import UserError
from contracts.features import Matrix

Vector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Groups = npt.NDArray[np.int64]
"""The number of each row's patient, shape (n,): rows of one patient are never on both sides of a split."""

TARGET_RECALL = 0.90
MIN_PATIENTS = 50  # of each class: fewer leave too few in a fold's early-stopping part to say anything
_FOLDS = 5
# Over three seeds the cross-validated AUC spreads by 0.0025 with one draw, by 0.001 with five; ten take twice as long.
_DRAWS = 5
_PATIENCE = 10  # trees without progress until boosting stops
_STOPPING_PART = 5  # every fifth patient says when


@dataclass(frozen=True)
class Setting:
    """How the stumps are boosted. Little was tuned: depths 1 to 3 with rates 0.05 to 0.2 differ by less than 0.01 in
    AUC, depth 1 the best. `trees` is a limit; early stopping ends at about half of it.
    """

    learning_rate: float = 0.1
    min_samples_leaf: int = 20
    trees: int = 300


SHIPPED = Setting()


@dataclass(frozen=True)
class Boosted:
    """Median imputation and the mean of boosted stumps, one `member` a draw of the missing values."""

    imputer: SimpleImputer
    members: tuple[GradientBoostingClassifier, ...]

    def margin(self, x: Matrix) -> Vector:
        """Return the log-odds (n,) of disease before calibration for `x` (n, features), NaN where missing."""
        # float32, as scikit-learn's trees and the ONNX graph both compare.
        imputed = self.imputer.transform(x).astype(np.float32)
        found: Vector = np.mean([member.decision_function(imputed) for member in self.members], axis=0)
        return found

    @property
    def stumps(self) -> int:
        return sum(int(member.n_estimators_) for member in self.members)


@dataclass(frozen=True)
class FittedModel:
    """A calibrated model: sigmoid(slope * margin + intercept), positive from `threshold` on.

    `out_of_fold` (n,) are the training patients' probabilities by models that did not see them.
    """

    boosted: Boosted
    slope: float
    intercept: float
    threshold: float
    out_of_fold: Vector

    def probability(self, x: Matrix) -> Vector:
        """Return the probability (n,) of disease for `x` (n, features), NaN where missing."""
        return _sigmoid(self.slope * self.boosted.margin(x) + self.intercept)


def fit(
    x: Matrix,
    y: Labels,
    seed: int,
    *,
    groups: Groups | None = None,
    setting: Setting = SHIPPED,
    recall: float = TARGET_RECALL,
) -> FittedModel:
    """Fit on `x` (n, features) float32 with NaN where missing and `y` (n,) in 0, 1. Same inputs, same model.

    Without `groups` every row is a patient of its own. The threshold finds at least `recall` of the ill, out of fold.
    Raises `UserError` when there is too little to learn from.
    """
    if min(np.bincount(y, minlength=2)) < MIN_PATIENTS:
        raise UserError(f"training data: expected at least {MIN_PATIENTS} patients with and without disease, got fewer")
    if groups is not None and len(np.unique(groups)) == len(y):
        groups = None
    folds: Any = StratifiedKFold if groups is None else StratifiedGroupKFold
    margins = np.empty(len(y))
    for train, test in folds(_FOLDS, shuffle=True, random_state=seed).split(x, y, groups):
        part = None if groups is None else groups[train]
        margins[test] = _boost(x[train], y[train], seed, part, setting).margin(x[test])
    platt = LogisticRegression(C=np.inf).fit(margins[:, None], y)
    slope, intercept = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    out_of_fold = _sigmoid(slope * margins + intercept)
    threshold = threshold_for_recall(out_of_fold, y, recall)
    return FittedModel(_boost(x, y, seed, groups, setting), slope, intercept, threshold, out_of_fold)


def threshold_for_recall(probability: Vector, y: Labels, recall: float = TARGET_RECALL) -> float:
    """Return the highest threshold, rounded down to 0.001, that finds at least `recall` of the ill.

    >>> threshold_for_recall(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0, 1, 1, 1]), recall=0.6)
    0.3
    """
    ill = np.sort(probability[y == 1])
    found = float(ill[int(np.floor(len(ill) * (1 - recall) + 1e-9))])  # 1e-9: 50 * (1 - 0.9) is 4.999…
    return float(np.clip(np.floor(found * 1000 + 1e-9) / 1000, 0.001, 0.999))


def _boost(x: Matrix, y: Labels, seed: int, groups: Groups | None, setting: Setting) -> Boosted:
    members = tuple(_member(x, y, seed, draw, groups, setting) for draw in range(_DRAWS))
    return Boosted(SimpleImputer(strategy="median").fit(x), members)


def _member(
    x: Matrix, y: Labels, seed: int, draw: int, groups: Groups | None, setting: Setting
) -> GradientBoostingClassifier:
    rng = np.random.default_rng([seed, draw])
    boosting: Any = GradientBoostingClassifier(
        max_depth=1,
        learning_rate=setting.learning_rate,
        subsample=0.7,
        min_samples_leaf=setting.min_samples_leaf,
        n_estimators=setting.trees,
        n_iter_no_change=_PATIENCE if groups is None else None,
        validation_fraction=1 / _STOPPING_PART,
        random_state=int(rng.integers(2**31)),
    )
    filled = _hot_deck(x, rng)
    if groups is None:
        return boosting.fit(filled, y)
    # scikit-learn's own early stopping knows no groups.
    patients = np.unique(groups)
    held = np.isin(groups, rng.permutation(patients)[: len(patients) // _STOPPING_PART])
    return boosting.fit(filled[~held], y[~held], monitor=_EarlyStop(filled[held], y[held]))


class _EarlyStop:
    """Stops boosting when the loss of patients that it does not learn from has not fallen for `_PATIENCE` trees."""

    def __init__(self, x: Matrix, y: Labels) -> None:
        self._x, self._y = x, y
        self._margin = np.zeros(len(y))
        self._losses: list[float] = []

    def __call__(self, tree: int, boosting: Any, _local: dict[str, Any]) -> bool:
        if tree == 0:  # the margin that boosting starts from is the share of the ill
            share = boosting.init_.class_prior_[1]
            self._margin += np.log(share / (1 - share))
        self._margin += boosting.learning_rate * boosting.estimators_[tree, 0].predict(self._x)
        self._losses.append(float(np.mean(np.logaddexp(0, self._margin) - self._y * self._margin)))
        return tree - int(np.argmin(self._losses)) >= _PATIENCE


def _hot_deck(x: Matrix, rng: np.random.Generator) -> Matrix:
    """Return `x` with each missing value drawn from the observed ones of its column."""
    filled = x.copy()
    for column in range(x.shape[1]):
        missing = np.isnan(x[:, column])
        if missing.all():
            raise UserError(f"training data: expected a value in the model's column {column + 1}, found none")
        filled[missing, column] = rng.choice(x[~missing, column], size=int(missing.sum()))
    return filled


def _sigmoid(margin: Vector) -> Vector:
    return 1 / (1 + np.exp(-margin))
