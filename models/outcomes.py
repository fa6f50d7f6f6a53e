"""How good the model is: from outcomes where they are known, and from the scores alone where they are not.

A set of outcomes is two counts for each bin of the score, all outcomes and those that are 1, so sets merge exactly.
What is told is linear in the residuals r = outcomes 1 - outcomes expected to be 1 by the reference, each with a weight
for its bin, so that other patients alone, whose scores drift, change nothing:

- *calibration*: all weights 1: disease is more or less frequent than the scores say (calibration in the large);
- *slope*: the log-odds of the reference: scores are too bold or too timid;
- *bins*: Pearson's chi-squared over the bins, whatever else;
- *brier*: what a disease adds to the squared error of the probability;
- *sensitivity* and *specificity*: what it adds to them at the threshold.

Without outcomes the same reference says how good the model is to be expected on the scores that are seen
(confidence-based performance estimation): right as long as a score still means what it meant.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.reference import OUTCOME_STATISTICS, Column, OutcomeReference, ReferenceStatistics
from models.scores import Statistics

Floats = npt.NDArray[np.float64]

_LEAST_VARIANCE = 0.01
"""Of a bin's residual in one outcome: rarer surprises count as if there were so much. See models/shift.py."""

_LEAST_SHARE = 0.01


class Performance(msgspec.Struct, frozen=True):
    """A model on a set of patients, at its threshold; NaN where there is nobody to say it of."""

    brier: float
    sensitivity: float
    specificity: float
    precision: float

    def labels(self, whose: str) -> dict[str, str]:
        """Return the numbers for an alert, each under a name that begins with `whose`."""
        return {f"{whose}_{name}": f"{value:.3f}" for name, value in msgspec.structs.asdict(self).items()}


def performance(events: Floats, positives: Floats, reference: OutcomeReference) -> Performance:
    """Return how good the model is on `events` (bins,) of which `positives` (bins,) have outcome 1."""
    negatives = events - positives
    errors = positives @ np.array(reference.error_positive) + negatives @ np.array(reference.error_negative)
    found, flagged = positives[reference.flagged :].sum(), events[reference.flagged :].sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return Performance(
            brier=float(errors / events.sum()),
            sensitivity=float(found / positives.sum()),
            specificity=float(negatives[: reference.flagged].sum() / negatives.sum()),
            precision=float(found / flagged),
        )


def estimated(events: Sequence[float], reference: OutcomeReference) -> Performance:
    """Return how good the model should be on `events` (bins,), were their outcomes those that the scores let expect."""
    counts = np.array(events, np.float64)
    return performance(counts, counts * np.array(reference.positive), reference)


def performance_weights(column: Column, reference: OutcomeReference) -> Floats:
    """Return the weights (3, bins) by which a change of the scores' shares changes what is estimated.

    Brier score, sensitivity and precision, to first order; each over its standard deviation in one event.
    """
    shares, positive = np.array(column.shares[:-1]), np.array(reference.positive)
    is_flagged = np.arange(len(positive)) >= reference.flagged
    now = estimated(shares.tolist(), reference)
    error = positive * np.array(reference.error_positive) + (1 - positive) * np.array(reference.error_negative)
    weights = np.array(
        [error - now.brier, positive * (is_flagged - now.sensitivity), is_flagged * (positive - now.precision)]
    )
    scaled: Floats = weights / np.maximum(np.sqrt(np.square(weights) @ shares), 1e-9)[:, None]
    return scaled


def outcome_forms(column: Column, reference: OutcomeReference) -> tuple[Floats, Floats]:
    """Return the forms (forms, 2 bins) of `OUTCOME_STATISTICS`, and whose each is, (forms, statistics) of 0 and 1."""
    shares, positive = np.array(column.shares[:-1]), np.array(reference.positive)
    variance = shares * positive * (1 - positive)
    bounded = np.clip(positive, _LEAST_SHARE, 1 - _LEAST_SHARE)
    log_odds = np.log(bounded / (1 - bounded))
    is_flagged = np.arange(len(positive)) >= reference.flagged
    now = estimated(shares.tolist(), reference)
    single = np.array(
        [
            np.ones(len(positive)),
            log_odds - log_odds @ variance / max(variance.sum(), 1e-9),
            np.array(reference.error_positive) - np.array(reference.error_negative),
            is_flagged - now.sensitivity,
            is_flagged - (1 - now.specificity),
        ]
    )
    single /= np.maximum(np.sqrt(np.square(single) @ variance), 1e-9)[:, None]
    bins = np.diag(1 / np.sqrt(np.maximum(variance, _LEAST_VARIANCE) * len(variance)))
    weights = np.concatenate([single[:2], bins, single[2:]])
    owner = [0, 1, *(2 for _ in bins), 3, 4, 5]
    owners = np.zeros((len(weights), len(OUTCOME_STATISTICS)))
    owners[np.arange(len(owner)), owner] = 1
    return np.concatenate([-weights * positive, weights], axis=1), owners


class OutcomeStatistics(Statistics):
    """The statistics of outcomes of one reference; totals are outcomes by bin, then those that are 1 by bin."""

    def __init__(self, reference: ReferenceStatistics) -> None:
        forms, owners = outcome_forms(reference.score, reference.outcomes)
        super().__init__(
            OUTCOME_STATISTICS,
            np.zeros(forms.shape[1]),
            forms,
            owners,
            reference.outcomes.nulls,
            reference.spacings,
            reference.window_events,
            reference.population,
        )
