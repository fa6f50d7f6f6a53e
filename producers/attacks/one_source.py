"""A source that is no longer itself: its clock or its sensors wrong, its records kept back."""

import json

import msgspec
import numpy as np

from contracts.features import to_row
from contracts.heart_disease import HEART_DISEASE
from contracts.reasons import Reason
from producers.attacks.attack import Scenario
from producers.attacks.attacker import Attacker, rewritten
from producers.attacks.public_rows import MEASURED, features_of, rounded
from producers.sources import SourceRecord

_HOUR_MS = 60 * 60 * 1000
_LAG_MS = 1000
STEADY = np.array([feature.steady is not None for feature in HEART_DISEASE.features])
"""Which features do not change in a patient, (features,): no sensor measures them."""


def clock_ahead(attacker: Attacker) -> Scenario:
    """The victim's clock jumps an hour ahead, beyond the skew that workers allow unless set otherwise."""

    def act(record: SourceRecord, at_ms: int) -> SourceRecord | None:
        if record.source != attacker.victim:
            return None
        moved = rewritten(record, observed_at=at_ms + _HOUR_MS)
        return msgspec.structs.replace(moved, event_id="", expected=Reason.FUTURE)

    return act


def clock_lagging(attacker: Attacker) -> Scenario:
    """The victim's clock falls behind, a second more with each event; no event is refused for it."""
    lag_ms = 0

    def act(record: SourceRecord, _: int) -> SourceRecord | None:
        nonlocal lag_ms
        if record.source != attacker.victim:
            return None
        lag_ms += _LAG_MS
        return rewritten(record, observed_at=json.loads(record.value or b"")["observed_at"] - lag_ms)

    return act


def sensors_off(attacker: Attacker) -> Scenario:
    """The victim's sensors report a tenth of the hard range too much, which each of its values still lies in."""
    low, high = np.array([feature.hard for feature in HEART_DISEASE.features]).T
    shift = np.where(MEASURED & ~STEADY, (high - low) / 10, 0.0)

    def act(record: SourceRecord, _: int) -> SourceRecord | None:
        if record.source != attacker.victim:
            return None
        row = np.array(to_row(HEART_DISEASE, json.loads(record.value or b"")["features"]))
        return rewritten(record, features=features_of(np.minimum(rounded(row + shift), high)))

    return act


def silence(attacker: Attacker) -> Scenario:
    """The victim's events and outcomes do not arrive."""
    return lambda record, _: record if record.source == attacker.victim else None
