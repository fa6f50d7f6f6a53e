"""A hospital's own reference: what its stream is compared with, made of events of its first weeks. No I/O.

How many patients they are stands in the reference (`population`): a sample of some thousand has an error of its own.
What outcomes a score lets expect, and what is unusual in a single event, stay the model's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.errors import UserError
from contracts.features import FeatureTable, Matrix
from contracts.reference import ReferenceStatistics
from models.calibrate import with_patients
from models.event_sample import Events
from models.sketch import Sketcher

LEAST_PATIENTS = 500
"""Of fewer the reference would be so uncertain that what it allows for hides all but great changes."""

MOST_EVENTS = 100_000
"""The error of so many is far below what a detector's memory of 1,280 events can see."""

_SEED = 0

Score = Callable[[Matrix], npt.NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A column in which events are unlike a reference: `moved` is the share of events that would have to change bins.

    `label` is the bin that differs most, `expected` and `seen` are its shares.
    """

    column: str
    moved: float
    label: str
    expected: float
    seen: float


def count_patients(events: Events) -> int:
    """Return of how many patients the events are; raises `UserError` if fewer than `LEAST_PATIENTS`."""
    patients = len(np.unique(events.patients))
    if patients < LEAST_PATIENTS:
        raise UserError(
            f"baseline: expected events of at least {LEAST_PATIENTS} patients, got {len(events)} events of {patients}; "
            "wait for more, or read further back (--days)"
        )
    return patients


def make_baseline(own: ReferenceStatistics, table: FeatureTable, events: Events, score: Score) -> ReferenceStatistics:
    """Return a model's `own` reference with a stream's patients; `score` returns the probabilities of a matrix.

    Raises `UserError` as `count_patients` does.
    """
    patients = count_patients(events)
    return with_patients(own, table, events.values.astype(np.float32), score, _SEED, population=patients)


def differences(reference: ReferenceStatistics, events: Events, score: Score) -> list[Difference]:
    """Return how events differ from a reference, the column that differs most first."""
    probabilities = score(events.values.astype(np.float32)).astype(np.float64)
    totals = Sketcher(reference.columns).sketch(events.values, probabilities).totals
    found, first = [], 0
    for column in reference.columns:
        expected = np.array(column.shares)
        seen = np.array(totals[first : first + len(expected)]) / len(events)
        first += len(expected)
        most = int(np.abs(seen - expected).argmax())
        moved = float(np.abs(seen - expected).sum() / 2)
        found.append(Difference(column.name, moved, column.labels[most], float(expected[most]), float(seen[most])))
    return sorted(found, key=lambda each: -each.moved)
