"""How far a set of events is from the reference.

All statistics are sums of squares of linear forms of the deviation d = shares seen - shares expected, so a set of
sketches is scored by one multiplication of matrices (models/scores.py):

- *measured columns, score, missing*: Anderson and Darling's distance of two distribution functions over the bins
  (Annals of Mathematical Statistics 23, 1952), which is strong against shifts, plus the rate of missing values;
- *coded columns*: Pearson's chi-squared over the codes and missing;
- *features*: all features' numbers together, for a little of change in many;
- *joint*: the deviations of the products of each two features, each over its standard deviation;
- *performance*: Brier score, sensitivity and precision as the scores let expect them (models/outcomes.py).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contracts.reference import FEATURES, JOINT, PERFORMANCE, SCORE, Column, OutcomeReference, ReferenceStatistics
from models.outcomes import performance_weights
from models.scores import Statistics

Floats = npt.NDArray[np.float64]

_LEAST_VARIANCE = 0.1
"""What is rarer counts as if it varied this much. One event with a code that the training data hardly had would
otherwise be an alarm of its own, and what is missing together in a few patients would rule the statistics of small
windows, in steps so coarse that no threshold has the spacing that was set (1.3 times it at 0.02)."""


class ShiftStatistics(Statistics):
    """The statistics of one reference; totals are those of sketches."""

    def __init__(self, reference: ReferenceStatistics) -> None:
        forms, owners = linear_forms(reference.columns, reference.product_sd, reference.outcomes)
        super().__init__(
            statistic_names(reference.columns),
            np.array([*(s for column in reference.columns for s in column.shares), *reference.products]),
            forms,
            owners,
            reference.nulls,
            reference.spacings,
            reference.window_events,
            reference.population,
        )
        self._pairs = np.triu_indices(len(reference.columns) - 2, 1)

    def strongest_pair(self, totals: Floats, events: int) -> tuple[int, int]:
        """Return the places of the two features whose product deviates most; `totals` is (totals,)."""
        joint = self._owners[:, self.names.index(JOINT)] > 0
        at = int(np.abs(self._forms[joint] @ (totals / events - self.expected)).argmax())
        first, second = self._pairs
        return int(first[at]), int(second[at])


def statistic_names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of the statistics in their order: each column's, then those of many."""
    return (*(column.name for column in columns), FEATURES, JOINT, PERFORMANCE)


def linear_forms(
    columns: Sequence[Column], product_sd: Sequence[float], outcomes: OutcomeReference
) -> tuple[Floats, Floats]:
    """Return the forms (forms, totals) and which statistics each is part of, (forms, statistics) of 0 and 1."""
    names = statistic_names(columns)
    first = np.cumsum([0, *(len(column.shares) for column in columns), len(product_sd)]).tolist()
    parts: list[tuple[int, Floats, list[str]]] = []  # the first total that a part is of, its forms, whose they are
    for place, column in enumerate(columns):
        whose = [column.name, FEATURES] if place < len(columns) - 2 else [column.name]
        parts.append((first[place], _coded(column) if column.coded else _measured(column), whose))
    parts.append((first[-2], np.diag(1 / np.array(product_sd)), [JOINT]))
    score = names.index(SCORE)
    parts.append((first[score], performance_weights(columns[score], outcomes), [PERFORMANCE]))
    forms = np.zeros((sum(len(part) for _, part, _ in parts), first[-1]))
    owners = np.zeros((len(forms), len(names)))
    row = 0
    for at, part, whose in parts:
        forms[row : row + len(part), at : at + part.shape[1]] = part
        owners[row : row + len(part), [names.index(name) for name in whose]] = 1
        row += len(part)
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
