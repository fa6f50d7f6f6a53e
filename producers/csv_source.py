"""A CSV file as patient events and, where it tells the diagnosis, outcomes."""

from collections.abc import Sequence
from pathlib import Path

from contracts.errors import UserError
from contracts.events import Outcome
from contracts.features import FeatureTable
from contracts.heart_disease import HEART_DISEASE
from contracts.identifiers import pseudonym
from producers.csv_rows import Row, read_rows
from producers.event_ids import EventIds
from producers.mapping import load_mapping
from producers.records import RecordWriter, outcome_record
from producers.sources import SourceRecord


class CsvSource:
    """The rows of `path` in their order (a `producers.sources.Source`).

    `mapping` is a TOML file like `uci_mapping.toml`. `pseudonym_key` has at least 32 bytes. An outcome follows its
    event by `outcome_delay_s` seconds; None sends no outcomes. `seed` fixes the event ids; None makes new ones each
    time, so that a file sent twice is two sets of events.

    Raises `UserError` on construction for the mapping and in `take` for the file.
    """

    def __init__(
        self,
        path: Path,
        mapping: Path,
        *,
        pseudonym_key: bytes,
        outcome_delay_s: float | None = None,
        seed: int | None = None,
        table: FeatureTable = HEART_DISEASE,
    ) -> None:
        self._rows = read_rows(path, load_mapping(mapping, table), table)
        self._pseudonym_key = pseudonym_key
        self._outcome_delay_s = outcome_delay_s
        self._ids = EventIds(seed)
        self._writer = RecordWriter(table)
        self._error: UserError | None = None

    def take(self, count: int, at_ms: int) -> Sequence[SourceRecord]:
        """See `producers.sources.Source.take`."""
        if self._error is not None:
            raise self._error
        records: list[SourceRecord] = []
        for _ in range(count):
            try:
                row = next(self._rows, None)
            except UserError as error:
                # What was read before the bad line is good and leaves first; the next call says what was wrong.
                self._error = error
                break
            if row is None:
                break
            records += self._records(row, at_ms)
        if self._error is not None and not records:
            raise self._error
        return records

    def _records(self, row: Row, at_ms: int) -> list[SourceRecord]:
        event_id = self._ids.take(1)[0]
        patient_id = pseudonym(self._pseudonym_key, row.record_number)
        observed_at = at_ms if row.observed_at is None else row.observed_at
        features = self._writer.features(*row.features)
        records = [self._writer.event(event_id, patient_id, row.source, observed_at, features)]
        if row.diagnosis is not None and self._outcome_delay_s is not None:
            recorded_at = at_ms + int(self._outcome_delay_s * 1000)
            outcome = Outcome(event_id, patient_id, row.source, 1 if row.diagnosis else 0, recorded_at)
            records.append(outcome_record(outcome, self._outcome_delay_s))
        return records
