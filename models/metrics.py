"""Quality figures with 95% intervals: bootstrap over patients (Efron, 1979; percentile method).

A resample draws patients, not predictions: it is a count a patient, and every figure is computed from the counts. The
same resamples serve all models, so that differences between them are paired. The intervals hold for the predictions
made: they say how much other patients would change a figure, not how much other training patients would.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.fit import Groups, Labels, Vector

RESAMPLES = 2000
FIGURES = ("auc", "brier", "recall", "specificity", "precision", "npv", "accuracy")

Counts = npt.NDArray[np.float64]
"""How often each patient is in each resample, shape (resamples, n); the first row is all ones: no resampling."""


@dataclass(frozen=True)
class Interval:
    """A figure and its 95% interval; all NaN when it is not defined, as precision is when nobody is called ill."""

    value: float
    low: float
    high: float


def resample(n: int, seed: int, resamples: int = RESAMPLES) -> Counts:
    """Return the counts of `resamples` bootstrap samples of `n` patients, below a first row of ones."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return np.vstack([np.ones(n), drawn]).astype(np.float64)


def resample_patients(y: Labels, group: Groups, seed: int, resamples: int = RESAMPLES) -> Counts:
    """Return counts like `resample` for rows of which several may be one patient's, `group` (n,) its number.

    Patients are drawn with all their rows, and as many ill and as many well ones as there are: stratified by whether
    any of a patient's rows is ill (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.2).
    """
    rng = np.random.default_rng(seed)
    number = np.unique(group, return_inverse=True)[1]
    ill = np.zeros(number.max() + 1, dtype=np.int64)
    np.maximum.at(ill, number, y)
    drawn = np.zeros((resamples, len(ill)))
    for stratum in (0, 1):
        those = np.flatnonzero(ill == stratum)
        if len(those):
            drawn[:, those] = rng.multinomial(len(those), np.full(len(those), 1 / len(those)), size=resamples)
    return np.vstack([np.ones(len(y)), drawn[:, number]])


def summarise(samples: Vector) -> Interval:
    """Return the first value with the 2.5th and 97.5th percentile of the others, undefined ones left out."""
    if np.isnan(samples[0]):
        return Interval(np.nan, np.nan, np.nan)
    low, high = np.nanpercentile(samples[1:], [2.5, 97.5])
    return Interval(float(samples[0]), float(low), float(high))


def figures(counts: Counts, y: Labels, probability: Vector, positive: npt.NDArray[np.bool_]) -> Mapping[str, Vector]:
    """Return each of `FIGURES` for every row of `counts`, NaN where it is not defined.

    `y`, `probability` and `positive` (the decision) have shape (n,).
    """
    ill = y == 1
    true_positive = counts @ (positive & ill)
    true_negative = counts @ (~positive & ~ill)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "auc": auc(counts, y, probability),
            "brier": counts @ (probability - y) ** 2 / counts.sum(axis=1),
            "recall": true_positive / (counts @ ill),
            "specificity": true_negative / (counts @ ~ill),
            "precision": true_positive / (counts @ positive),
            "npv": true_negative / (counts @ ~positive),
            "accuracy": (true_positive + true_negative) / counts.sum(axis=1),
        }


def auc(counts: Counts, y: Labels, score: Vector) -> Vector:
    """Return the area under the ROC curve for every row of `counts`; ties count half, NaN where a class is absent.

    >>> auc(np.ones((1, 4)), np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])).tolist()
    [0.875]
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    ill = np.add.reduceat((counts * (y == 1))[:, order], starts, axis=1)
    well = np.add.reduceat((counts * (y == 0))[:, order], starts, axis=1)
    below = np.cumsum(well, axis=1) - well / 2
    with np.errstate(invalid="ignore"):
        found: Vector = (ill * below).sum(axis=1) / (ill.sum(axis=1) * well.sum(axis=1))
    return found
