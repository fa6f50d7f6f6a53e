"""Patients moved just across the decision boundary, so that a disease is missed."""

import json

import numpy as np

from contracts.features import to_row
from contracts.heart_disease import HEART_DISEASE
from producers.attacks.attack import Scenario
from producers.attacks.attacker import Attacker, rewritten
from producers.attacks.public_rows import Row, between, features_of
from producers.sources import SourceRecord

_NEAREST = 20
_STEPS = np.arange(1, 33)[:, np.newaxis, np.newaxis] / 32  # of the way from the patient to a healthy one
_KNOWN = np.array([name in {"age", "sex"} for name in HEART_DISEASE.names])  # a lie about these shows


def evaded(attacker: Attacker) -> Scenario:
    """Move a positive patient towards the nearest negative public ones, no further than needed.

    Age and sex stay, and what is missing stays missing. Asks about rows that it does not send: the attacker has done
    his probing before. Leaves patients alone who are negative already and those whom no way brings across.
    """
    goals: Row | None = None

    def act(record: SourceRecord, _: int) -> SourceRecord | None:
        nonlocal goals
        if goals is None:
            rows = attacker.rows
            goals = rows.x[~rows.ill & ~attacker.positive(rows.x)]
        row = np.array(to_row(HEART_DISEASE, json.loads(record.value or b"")["features"]))
        if not attacker.positive(row[np.newaxis])[0]:
            return None
        moved = _across(attacker, row, goals)
        return None if moved is None else rewritten(record, features=features_of(moved))

    return act


def _across(attacker: Attacker, row: Row, goals: Row) -> Row | None:
    """Return the row nearest to `row` that is negative, among those on the way to the nearest of `goals`."""
    goals = np.where(_KNOWN, row, goals)
    nearest = goals[np.argsort(_distance(attacker, goals, row), kind="stable")[:_NEAREST]]
    tried = between(row, nearest, _STEPS).reshape(-1, len(row))
    negative = tried[~attacker.positive(tried)]
    if not len(negative):
        return None
    closest: Row = negative[_distance(attacker, negative, row).argmin()]
    return closest


def _distance(attacker: Attacker, rows: Row, row: Row) -> Row:
    """Return how far rows (n, features) are from `row`, in squared standard deviations, shape (n,)."""
    distance: Row = np.nansum(((rows - row) / attacker.rows.sd) ** 2, axis=1)
    return distance
