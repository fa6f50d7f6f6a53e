"""Decode and authenticate: bytes of a batch in, checked records and rejections out. No record costs another anything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import attrgetter
from typing import Generic, TypeVar

from contracts.codec import decoder, explain
from contracts.errors import InvalidRecord
from contracts.events import Event, Outcome
from contracts.identifiers import EVENT_ID, PATIENT_ID, is_source
from contracts.mac import Keyring
from contracts.reasons import Reason
from stream_app.batch import Batch
from stream_app.forms import FixedForm

R = TypeVar("R", Event, Outcome)

_EVENT_ID = FixedForm(EVENT_ID)
_PATIENT_ID = FixedForm(PATIENT_ID)
_MAX_KNOWN_SOURCES = 10_000  # a cache, cleared when a flood of invented sources fills it


@dataclass(slots=True)
class Decoded(Generic[R]):
    """`records[i]` came from row `rows[i]` of the batch; `rejected` maps the other rows to what is wrong with them."""

    records: list[R]
    rows: list[int]
    authenticated: list[bool]
    rejected: dict[int, InvalidRecord]

    def reject(self, found: dict[int, InvalidRecord]) -> None:
        """Move the records at these positions (of `records`) to the rejections."""
        if not found:
            return
        for position, error in found.items():
            self.rejected[self.rows[position]] = error
        keep = [position not in found for position in range(len(self.records))]
        self.records = list(compress(self.records, keep))
        self.rows = list(compress(self.rows, keep))
        self.authenticated = list(compress(self.authenticated, keep))


class Decoder(Generic[R]):
    """Decodes one kind of record and checks all that does not depend on a model.

    `time_field` is the field that must not lie in the future; `require_mac` refuses records without a MAC.
    """

    def __init__(
        self, record_type: type[R], time_field: str, keyring: Keyring, *, require_mac: bool, max_future_ms: int
    ) -> None:
        self._decode: Callable[[bytes], R] = decoder(record_type)
        self._time = attrgetter(time_field)
        self._time_field = time_field
        self._keyring = keyring
        self._require_mac = require_mac
        self._max_future_ms = max_future_ms
        self._known_sources: set[str] = set()

    def __call__(self, batch: Batch, now_ms: int) -> Decoded[R]:
        """Check a batch; `now_ms` is the time in epoch milliseconds."""
        decoded = self._parse(batch.values)
        if not decoded.records:
            return decoded
        records, rows = decoded.records, decoded.rows
        whole = len(rows) == len(batch)
        keys = batch.keys if whole else [batch.keys[row] for row in rows]
        values = batch.values if whole else [batch.values[row] for row in rows]
        headers = batch.headers if whole else [batch.headers[row] for row in rows]

        # Each check adds what it finds; the first one that a record fails is its reason.
        found: dict[int, InvalidRecord] = {}
        patient_ids = [record.patient_id for record in records]
        for position in _EVENT_ID.bad([record.event_id for record in records]):
            found[position] = InvalidRecord(Reason.IDENTIFIER, "expected a lower-case UUID - at `$.event_id`")
        for position in self._bad_sources([record.source for record in records]):
            found.setdefault(position, InvalidRecord(Reason.IDENTIFIER, "expected site/ward/device - at `$.source`"))
        for position in _PATIENT_ID.bad(patient_ids):
            found.setdefault(position, InvalidRecord(Reason.PSEUDONYM, "expected a pseudonym - at `$.patient_id`"))
        for position in _mismatches(keys, patient_ids):
            found.setdefault(
                position, InvalidRecord(Reason.KEY_MISMATCH, "expected the record's key to be its patient_id")
            )
        for position, result in enumerate(
            self._keyring.authenticate(headers, keys, values, [record.source for record in records])
        ):
            if result is True:
                decoded.authenticated[position] = True
            elif result is not None:
                found.setdefault(position, result)
            elif self._require_mac:
                found.setdefault(position, InvalidRecord(Reason.MAC_MISSING, "expected a MAC of the record's source"))
        latest = now_ms + self._max_future_ms
        times = list(map(self._time, records))
        if max(times) > latest or min(times) < 0:
            detail = (
                f"expected a time from 1970 to {self._max_future_ms // 1000} s from now - at `$.{self._time_field}`"
            )
            for position, time in enumerate(times):
                if not 0 <= time <= latest:
                    found.setdefault(position, InvalidRecord(Reason.FUTURE, detail))
        decoded.reject(found)
        return decoded

    def _parse(self, values: Sequence[bytes | None]) -> Decoded[R]:
        decode = self._decode
        records: list[R] = []
        rejected: dict[int, InvalidRecord] = {}
        add = records.append
        for row, value in enumerate(values):
            if not value:
                rejected[row] = InvalidRecord(Reason.EMPTY, "expected a JSON object, got no bytes")
                continue
            try:
                add(decode(value))
            except (ValueError, RecursionError) as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
                rejected[row] = explain(error)
        rows = [row for row in range(len(values)) if row not in rejected] if rejected else list(range(len(values)))
        return Decoded(records, rows, [False] * len(records), rejected)

    def _bad_sources(self, sources: list[str]) -> list[int]:
        unknown = set(sources) - self._known_sources
        if not unknown:
            return []
        good = set(filter(is_source, unknown))
        if len(self._known_sources) + len(good) > _MAX_KNOWN_SOURCES:
            self._known_sources.clear()
        self._known_sources |= good
        bad = unknown - good
        return [position for position, source in enumerate(sources) if source in bad] if bad else []


def _mismatches(keys: Sequence[bytes | None], patient_ids: list[str]) -> list[int]:
    expected = [patient_id.encode() for patient_id in patient_ids]
    if keys == expected:
        return []
    return [position for position, key in enumerate(keys) if key != expected[position]]
