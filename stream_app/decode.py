"""Decode and authenticate: bytes of a batch in, checked records and rejections out."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter, not_
from typing import Generic, TypeVar

from contracts.codec import decoder, explain
from contracts.errors import InvalidRecord
from contracts.events import Event, Outcome
from contracts.identifiers import EVENT_ID, PATIENT_ID, is_below, is_source
from contracts.mac import Keyring
from contracts.reasons import Reason
from contracts.releases import Contained
from stream_app.batch import Batch
from stream_app.forms import FixedForm

R = TypeVar("R", Event, Outcome)

_EVENT_ID = FixedForm(EVENT_ID)
_PATIENT_ID = FixedForm(PATIENT_ID)
_MAX_KNOWN_SOURCES = 10_000  # a cache, cleared when a flood of invented sources fills it


@dataclass(slots=True)
class Decoded(Generic[R]):
    """`records[i]` came from row `rows[i]` of the batch; `rejected` maps the other rows to what is wrong with them.

    `claimed` is the source that a rejected record names, by row, where it is of a source's form.
    """

    records: list[R]
    rows: list[int]
    authenticated: list[bool]
    rejected: dict[int, InvalidRecord]
    claimed: dict[int, str] = field(default_factory=dict)

    def reject(self, found: dict[int, InvalidRecord], also_drop: Container[int] = ()) -> None:
        """Move the records at these positions (of `records`) to the rejections; leave others out without one."""
        if not (found or also_drop):
            return
        for position, error in found.items():
            row, source = self.rows[position], self.records[position].source
            self.rejected[row] = error
            if is_source(source):
                self.claimed[row] = source
        keep = [position not in found and position not in also_drop for position in range(len(self.records))]
        self.records = list(compress(self.records, keep))
        self.rows = list(compress(self.rows, keep))
        self.authenticated = list(compress(self.authenticated, keep))


class Decoder(Generic[R]):
    """Decodes one kind of record and checks all that does not depend on a model.

    `time_field` is the field that must not lie in the future; `require_mac` refuses records without a MAC. `contained`
    says whose records are refused now.
    """

    def __init__(
        self,
        record_type: type[R],
        time_field: str,
        keyring: Keyring,
        *,
        require_mac: bool,
        max_future_ms: int,
        contained: Callable[[], Contained] = Contained,
    ) -> None:
        self._decode: Callable[[bytes], R] = decoder(record_type)
        self._time = attrgetter(time_field)
        self._time_field = time_field
        self._whole_keyring = self._keyring = keyring
        self._contained_now, self._contained = contained, Contained()
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
        sources = [record.source for record in records]
        for position in _EVENT_ID.bad([record.event_id for record in records]):
            found[position] = InvalidRecord(Reason.IDENTIFIER, "expected a lower-case UUID - at `$.event_id`")
        for position in self._bad_sources(sources):
            found.setdefault(position, InvalidRecord(Reason.IDENTIFIER, "expected site/ward/device - at `$.source`"))
        for position in _PATIENT_ID.bad(patient_ids):
            found.setdefault(position, InvalidRecord(Reason.PSEUDONYM, "expected a pseudonym - at `$.patient_id`"))
        for position in _mismatches(keys, patient_ids):
            found.setdefault(
                position, InvalidRecord(Reason.KEY_MISMATCH, "expected the patient_id as the record's key")
            )
        self._contain()
        for position in self._blocked(sources):
            found.setdefault(position, InvalidRecord(Reason.BLOCKED, "expected a source that is not blocked"))
        decoded.authenticated, wrong = self._keyring.authenticate(headers, keys, values, sources)
        for position, error in wrong.items():
            found.setdefault(position, error)
        if self._require_mac and not all(decoded.authenticated):
            for position in compress(range(len(records)), map(not_, decoded.authenticated)):
                found.setdefault(position, InvalidRecord(Reason.MAC_MISSING, "expected a MAC by the source's key"))
        times = list(map(self._time, records))
        latest = now_ms + self._max_future_ms
        if max(times) > latest or min(times) < 0:
            seconds = self._max_future_ms // 1000
            detail = f"expected a time from 1970 to {seconds} s from now - at `$.{self._time_field}`"
            for position, time in enumerate(times):
                if not 0 <= time <= latest:
                    found.setdefault(position, InvalidRecord(Reason.FUTURE, detail))
        decoded.reject(found)
        return decoded

    def _parse(self, values: Sequence[bytes | None]) -> Decoded[R]:
        decode = self._decode
        try:
            records = list(map(decode, values))  # type: ignore[arg-type]  # None is a TypeError
            return Decoded(records, list(range(len(records))), [], {})
        except (ValueError, TypeError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
            records = []
        rows: list[int] = []
        rejected: dict[int, InvalidRecord] = {}
        for row, value in enumerate(values):
            if not value:
                rejected[row] = InvalidRecord(Reason.EMPTY, "expected a JSON object, got no bytes")
                continue
            try:
                records.append(decode(value))
                rows.append(row)
            except (ValueError, RecursionError) as error:
                rejected[row] = explain(error)
        return Decoded(records, rows, [], rejected)

    def _contain(self) -> None:
        """Take over what is to be refused now."""
        contained = self._contained_now()
        if contained != self._contained:
            self._contained = contained
            self._keyring = self._whole_keyring.without(contained.keys)

    def _blocked(self, sources: list[str]) -> list[int]:
        if not self._contained.sources:
            return []
        blocked = {source for source in set(sources) if is_below(source, self._contained.sources)}
        return [position for position, source in enumerate(sources) if source in blocked]

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
    if keys == list(map(str.encode, patient_ids)):
        return []
    return [position for position, key in enumerate(keys) if key != patient_ids[position].encode()]
