"""Questions to the model: where its boundary runs, what it computes, whom it was trained on.

A generator yields rows in the order in which they are sent, and asks `Attacker.positive` about a row only after it has
yielded that row: an attacker gets his answer from the prediction.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from contracts.heart_disease import HEART_DISEASE
from producers.attacks.attack import Scenario
from producers.attacks.attacker import Attacker
from producers.attacks.public_rows import MEASURED, Row, between, features_of, rounded
from producers.sources import SourceRecord

Rows = Callable[[Attacker], Iterator[Row]]

# What Choquette-Choo and others need to tell members by (Label-Only Membership Inference Attacks, 2021) is ten and
# more answers a person, near him: his own row and these.
_NEIGHBOURS = 12
_NOISE_SD = 0.1  # of a feature's standard deviation


def boundary(attacker: Attacker) -> Iterator[Row]:
    """Bisect the way from an ill public row to a healthy one for the place where the decision turns.

    Only measurements move, each code is taken from one of the two and stays: a code turns the decision at a jump, and
    it is the boundary that is looked for. The search ends where two rows are as near as values can be written; a way
    with the same decision at both ends is left. This is the first step of HopSkipJump (Chen, Jordan, Wainwright, 2020).
    """
    rows, rng = attacker.rows, attacker.rng
    ill, healthy = rows.x[rows.ill], rows.x[~rows.ill]
    while True:
        one, other = ill[rng.randrange(len(ill))], healthy[rng.randrange(len(healthy))]
        codes = np.where([rng.random() < 0.5 for _ in one], one, other)
        near = np.where(MEASURED, one, codes)
        far = between(near, np.where(MEASURED, other, codes), 1.0)
        yield near
        yield far
        near_is, far_is = attacker.positive(np.array([near, far]))
        while near_is != far_is:
            middle = between(near, far, 0.5)
            if any(np.array_equal(middle, end, equal_nan=True) for end in (near, far)):
                break
            yield middle
            if attacker.positive(middle[np.newaxis])[0] == near_is:
                near = middle
            else:
                far = middle


def uniform(attacker: Attacker) -> Iterator[Row]:
    """Draw every value evenly from its usual range or its codes (Tramèr and others, Stealing Models, 2016)."""
    rng = attacker.rng
    while True:
        yield rounded(
            np.array(
                [
                    float(rng.choice(list(feature.codes))) if feature.codes else rng.uniform(*feature.usual)
                    for feature in HEART_DISEASE.features
                ]
            )
        )


def natural(attacker: Attacker) -> Iterator[Row]:
    """Take public rows with one value from another row: patients that look like patients, one question each."""
    rows, rng = attacker.rows.x, attacker.rng
    while True:
        row = rows[rng.randrange(len(rows))].copy()
        feature = rng.randrange(rows.shape[1])
        row[feature] = rows[rng.randrange(len(rows)), feature]
        yield row


def membership(attacker: Attacker) -> Iterator[Row]:
    """Ask about a public row, who may have been in the training data, then about rows close around him."""
    rows, rng = attacker.rows, attacker.rng
    noise_sd = np.where(MEASURED, _NOISE_SD * rows.sd, 0.0)
    while True:
        row = rows.x[rng.randrange(len(rows.x))]
        yield row
        for _ in range(_NEIGHBOURS):
            yield rounded(row + noise_sd * np.array([rng.gauss() for _ in row]))


def fast(rows: Rows) -> Callable[[Attacker], Scenario]:
    """Ask from the victim under one pseudonym, as a device would that somebody took over."""
    return partial(_asked, rows, spread=False)


def slow(rows: Rows) -> Callable[[Attacker], Scenario]:
    """Ask under a new pseudonym each time, from whatever source spoke last."""
    return partial(_asked, rows, spread=True)


def _asked(rows: Rows, attacker: Attacker, *, spread: bool) -> Scenario:
    asked = rows(attacker)
    pseudonym = attacker.pseudonym()

    def act(seen: SourceRecord, at_ms: int) -> SourceRecord:
        who = {} if spread else {"patient_id": pseudonym, "source": attacker.victim}
        return attacker.event_like(seen, at_ms, features=features_of(next(asked)), **who)

    return act
