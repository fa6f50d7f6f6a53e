"""A source that is no longer itself: its clock wrong, its records kept back."""

import json

import msgspec

from contracts.reasons import Reason
from producers.attacks.attack import Scenario
from producers.attacks.attacker import Attacker, rewritten
from producers.sources import SourceRecord

_HOUR_MS = 60 * 60 * 1000
_LAG_MS = 1000


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


def silence(attacker: Attacker) -> Scenario:
    """The victim's events and outcomes do not arrive."""
    return lambda record, _: record if record.source == attacker.victim else None
