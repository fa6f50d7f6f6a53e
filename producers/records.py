"""Patient events and outcomes as records of their topics."""

from collections.abc import Callable

import msgspec

from contracts.codec import encode
from contracts.events import Event, Outcome, event_type, features_type
from contracts.features import FeatureTable
from contracts.topics import EVENTS, OUTCOMES
from producers.sources import SourceRecord


class RecordWriter:
    """Writes the records of one feature table."""

    def __init__(self, table: FeatureTable) -> None:
        self._event: Callable[..., Event] = event_type(table)
        self.features: Callable[..., msgspec.Struct] = features_type(table)
        """Make an event's features from values in the order of the table, None where missing."""

    def event(
        self, event_id: str, patient_id: str, source: str, observed_at: int, features: msgspec.Struct
    ) -> SourceRecord:
        """Return the record of an event observed at `observed_at` (epoch milliseconds)."""
        value = encode(self._event(event_id, patient_id, source, observed_at, features))
        return SourceRecord(topic=EVENTS, key=patient_id.encode(), value=value, source=source, event_id=event_id)


def outcome_record(outcome: Outcome, delay_s: float) -> SourceRecord:
    """Return the record of a diagnosis that is known `delay_s` seconds after its event was sent."""
    return SourceRecord(
        topic=OUTCOMES,
        key=outcome.patient_id.encode(),
        value=encode(outcome),
        source=outcome.source,
        event_id=outcome.event_id,
        delay_s=delay_s,
    )
