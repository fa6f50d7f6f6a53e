"""Evaluation: cross-validated and leave-one-site-out, the model beside plain baselines on the very same folds.

Everything that learns from patients (imputation, calibration, threshold) is fitted inside a fold. Repeated records
are left out before, so that no patient is on both sides of a split.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from contracts.features import Matrix
from contracts.heart_disease import HEART_DISEASE
from models.dataset import Dataset
from models.fit import Labels, Vector, fit, threshold_for_recall

FOLDS = 10
REPEATS = 3
_MANY_CODES = ("cp", "restecg", "slope", "thal")  # more than two codes: one column a code for a linear model

Split = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


class Contender(Protocol):
    """Learns from `x` (n, features) and `y` (n,); returns the probability of each row of `test` and a threshold."""

    def __call__(self, x: Matrix, y: Labels, test: Matrix, seed: int, /) -> tuple[Vector, float]: ...


@dataclass(frozen=True)
class Predictions:
    """What a contender said of patients that it had not seen: probability, and the decision by its fold's threshold."""

    probability: Vector
    positive: npt.NDArray[np.bool_]


def cardiosentry(x: Matrix, y: Labels, test: Matrix, seed: int, /) -> tuple[Vector, float]:
    """The model that is shipped."""
    model = fit(x, y, seed)
    return model.probability(test), model.threshold


def logistic_regression(x: Matrix, y: Labels, test: Matrix, seed: int, /) -> tuple[Vector, float]:
    """Plain logistic regression: median imputation, scaling, one column a code; the same rule for its threshold."""
    codes = [HEART_DISEASE.names.index(name) for name in _MANY_CODES]
    pipeline = make_pipeline(
        SimpleImputer(strategy="median"),
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), codes), remainder=StandardScaler()),
        LogisticRegression(max_iter=1000),
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    out_of_fold = cross_val_predict(pipeline, x, y, cv=folds, method="predict_proba")[:, 1]
    probability: Vector = pipeline.fit(x, y).predict_proba(test)[:, 1]
    return probability, threshold_for_recall(out_of_fold, y)


def majority_class(x: Matrix, y: Labels, test: Matrix, _seed: int, /) -> tuple[Vector, float]:
    """The share of the ill among those it learnt from, for everybody; above a half, everybody is called ill."""
    probability: Vector = DummyClassifier(strategy="prior").fit(x, y).predict_proba(test)[:, 1]
    return probability, 0.5


def missing_pattern(x: Matrix, y: Labels, test: Matrix, _seed: int, /) -> tuple[Vector, float]:
    """Logistic regression on which values are missing and nothing else: how much the gaps alone give away."""
    model = LogisticRegression(max_iter=1000).fit(np.isnan(x), y)
    probability: Vector = model.predict_proba(np.isnan(test))[:, 1]
    return probability, 0.5


def cross_validate(contender: Contender, patients: Dataset, seed: int) -> list[Predictions]:
    """Return the out-of-fold predictions of each of `REPEATS` stratified `FOLDS`-fold splits."""
    return [
        predict_out_of_fold(contender, patients, random_splits(patients, seed + repeat), seed)
        for repeat in range(REPEATS)
    ]


def leave_site_out(contender: Contender, patients: Dataset, seed: int) -> Predictions:
    """Return predictions of each site's patients by a model that learnt from the other sites."""
    return predict_out_of_fold(contender, patients, site_splits(patients), seed)


def random_splits(patients: Dataset, seed: int) -> Iterator[Split]:
    """Yield `FOLDS` splits into (train, test) with the same share of ill patients in each."""
    yield from StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(patients.x, patients.y)


def site_splits(patients: Dataset) -> Iterator[Split]:
    """Yield a split for each site: the other sites' patients, and its own."""
    for site in sorted(set(patients.site.tolist())):
        yield np.flatnonzero(patients.site != site), np.flatnonzero(patients.site == site)


def predict_out_of_fold(contender: Contender, patients: Dataset, splits: Iterable[Split], seed: int) -> Predictions:
    """Return the predictions of the test rows of `splits`, which together cover every patient once."""
    probability = np.full(len(patients), np.nan)
    positive = np.zeros(len(patients), dtype=np.bool_)
    for train, test in splits:
        probability[test], threshold = contender(patients.x[train], patients.y[train], patients.x[test], seed)
        positive[test] = probability[test] >= threshold
    if np.isnan(probability).any():
        raise ValueError("splits: expected every patient in one test part")
    return Predictions(probability, positive)


@dataclass(frozen=True)
class Evaluated:
    """All predictions of one contender."""

    title: str
    repeats: list[Predictions]
    by_site: Predictions


def evaluate_all(patients: Dataset, seed: int, progress: Callable[[str], None]) -> list[Evaluated]:
    """Evaluate every contender, the shipped model first."""
    contenders: dict[str, Contender] = {
        "CardioSentry": cardiosentry,
        "Logistic regression": logistic_regression,
        "Majority class": majority_class,
        "Missing pattern alone": missing_pattern,
    }
    found = []
    for title, contender in contenders.items():
        progress(f"{title}: {REPEATS} times {FOLDS}-fold cross-validation, then leave one site out")
        found.append(
            Evaluated(title, cross_validate(contender, patients, seed), leave_site_out(contender, patients, seed))
        )
    return found
