"""Poisoned labels: do a snapshot's labels agree with its features as trusted records say they should?

A plain model of the trusted records (linear.py) says how likely each label is. From that come, in standard deviations:

- for the snapshot and for each of its sites, how far the number of ill is off (labels flipped one way), and how much
  more surprising the labels are than the model expects (flipped both ways; Spiegelhalter, Probabilistic prediction in
  patient management and clinical trials, Statistics in Medicine 5, 1986);
- for every value of every feature, and every pair of values, that `_LEAST` rows have, how far their labels are off: the
  mark of a backdoor, and of labels flipped for some patients alone (Zhang and Neill, Identifying significant predictive
  bias in classifiers, 2016).

The highest of these is held against what it is when nothing is wrong: labels drawn from the model itself for the very
same rows, trusted and new, with the model fitted again (a parametric bootstrap), so its own errors are in the limit.

A new site is not an attack. How common the disease is there and how well the features tell it are its own: both are
fitted for it before its labels are judged. What is left to judge is less, so less is seen (docs/pipeline-attacks.md).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from contracts.features import FeatureTable, Matrix
from models.fit import Vector
from models.pipeline.attacks.linear import Encoder, fit_ridge, probability
from models.pipeline.rows import Rows

_LEAST = 5
_LEAST_SITE = 20
_WARM_STEPS = 2
_SOFTEN = 0.25  # variance added, so that five rows that are sure do not rule

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelTest:
    """`scores` are the statistics in standard deviations of their clean distribution, by name; `highest` the largest.

    `p` is how often clean labels are as far off: (1 + how many of the simulations) / (1 + simulations).
    """

    scores: dict[str, float]
    highest: float
    p: float


def label_test(table: FeatureTable, trusted: Rows, snapshot: Rows, simulations: int, seed: int) -> LabelTest:
    """Test the labels of `snapshot` against `trusted` rows; the same inputs and seed give the same answer."""
    rng = np.random.default_rng([seed, 4])
    encode = Encoder(table, trusted)
    known, new = encode(trusted), encode(snapshot)
    weights = fit_ridge(known, trusted.y)
    statistics = _Statistics(snapshot, encode.sites)
    observed = statistics(new @ weights, snapshot.y)
    believed = probability(known @ weights), probability(statistics.adjusted(new @ weights, snapshot.y))
    clean = np.empty((simulations, len(observed)))
    for row in clean:
        drawn = [(rng.random(len(each)) < each).astype(np.int64) for each in believed]
        again = fit_ridge(known, drawn[0], weights, _WARM_STEPS)
        row[:] = statistics(new @ again, drawn[1])
    mean, sd = clean.mean(axis=0), np.maximum(clean.std(axis=0), 1e-9)
    scores = (observed - mean) / sd
    rarest = ((clean - mean) / sd).max(axis=1)
    p = (1 + int((rarest >= scores.max()).sum())) / (1 + simulations)
    return LabelTest(dict(zip(statistics.names, scores.tolist(), strict=True)), float(scores.max()), p)


class _Statistics:
    """The statistics of labels for the rows of one snapshot."""

    def __init__(self, snapshot: Rows, known_sites: npt.NDArray[np.str_]) -> None:
        sites = [snapshot.site == site for site in sorted(set(snapshot.site.tolist()))]
        self._new = [mask for mask in sites if not np.isin(snapshot.site[mask][0], known_sites)]
        self._sites = [mask for mask in sites if mask.sum() >= _LEAST_SITE]
        self._combinations = list(frequent_values(snapshot.x))
        self.names = ("ill", "surprise", "ill, one site", "surprise, one site", "values")

    def adjusted(self, margin: Vector, y: npt.NDArray[np.int64]) -> Vector:
        """Return margins with level and slope of each new site as its own labels have them."""
        margin = margin.copy()
        for mask in self._new:
            columns = np.column_stack([np.ones(int(mask.sum())), margin[mask]])
            margin[mask] = columns @ fit_ridge(columns, y[mask], steps=6)
        return margin

    def __call__(self, margin: Vector, y: npt.NDArray[np.int64]) -> Vector:
        p = probability(self.adjusted(margin, y))
        off, variance = y - p, p * (1 - p)
        logit = np.log(p / (1 - p))
        surprise, spread = -off * logit, variance * logit**2  # the log loss, less what the model expects it to be
        by_site = [(_z(off[m], variance[m]), _z(surprise[m], spread[m])) for m in self._sites] or [(0.0, 0.0)]
        values = 0.0
        for of, count in self._combinations:
            sums = np.bincount(of, off, count + 1)[:count], np.bincount(of, variance, count + 1)[:count]
            values = max(values, float(np.max(np.abs(sums[0]) / np.sqrt(sums[1] + _SOFTEN))))
        return np.array(
            [
                abs(_z(off, variance)),
                _z(surprise, spread),
                max(abs(ill) for ill, _ in by_site),
                max(high for _, high in by_site),
                values,
            ]
        )


def frequent_values(x: Matrix) -> list[tuple[Ids, int]]:
    """Return for each feature, and each pair of them, the number of each row's value among those that at least
    `_LEAST` rows have, (n,), and how many those are: the number of a row whose value is rarer.
    """
    columns = [np.unique(column, return_inverse=True)[1] for column in x.T]  # NaN is a value like others
    pairs = [a * (int(b.max()) + 1) + b for a, b in combinations(columns, 2)]
    found = []
    for ids in (*columns, *pairs):
        _, number, counts = np.unique(ids, return_inverse=True, return_counts=True)
        often = counts >= _LEAST
        if often.any():
            renumbered = np.where(often, np.cumsum(often) - 1, int(often.sum()))
            found.append((renumbered[number].astype(np.int64), int(often.sum())))
    return found


def _z(off: Vector, variance: Vector) -> float:
    return float(off.sum() / np.sqrt(variance.sum() + _SOFTEN))
