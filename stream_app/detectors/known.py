"""What a partition had already: events that come again, and patients who are suddenly somebody else.

An event's key is its patient, so the same event and the same patient come to the same partition, whoever sends them.
Each partition remembers its last events and patients (memories.py); what is older is forgotten. A partition that is new
here is read again first, back to what its last holder remembered of events at least.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from contracts.errors import InvalidRecord
from contracts.events import Event
from contracts.features import FeatureTable
from contracts.reasons import Reason
from stream_app.batch import Batch
from stream_app.decode import Decoded, Decoder
from stream_app.detectors.memories import IDS, IdMemory, PatientMemory, SteadyValues

History = Callable[[str, int, int, int], Iterable[Batch]]
"""Reads again what a partition had: topic, partition, offset to stop before, how many records; blocks until read.

Raises `RetryableError` while the broker does not answer.
"""

_EVENT_ID, _PATIENT_ID = attrgetter("event_id"), attrgetter("patient_id")
_CHANGED = InvalidRecord(Reason.REPEATED, "expected an id that is new, got one that came with other bytes")


@dataclass(slots=True)
class Seen:
    """Of a batch: the events that were dropped, and those whose patient was somebody else before."""

    repeated: list[Event] = field(default_factory=list)
    inconsistent: list[Event] = field(default_factory=list)


class Steady:
    """Reads the features of a table that stay as they are in a patient; `most` is by how much each may differ."""

    def __init__(self, table: FeatureTable) -> None:
        features = {feature.name: feature.steady for feature in table.features if feature.steady is not None}
        self.most = list(features.values())
        self._read = attrgetter("event_id", *(f"features.{name}" for name in features))

    def values(self, events: list[Event]) -> list[SteadyValues]:
        """Return each event's values of these features."""
        return [read[1:] for read in map(self._read, events)] if self.most else [()] * len(events)


@dataclass(slots=True)
class _Partition:
    ids: IdMemory = field(default_factory=IdMemory)
    patients: PatientMemory = field(default_factory=PatientMemory)


class Known:
    """Takes what came before out of a batch: dropped with the same bytes, rejected with others. Knows patients."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._partitions: dict[int, _Partition] = {}

    def __call__(
        self, batch: Batch, decoded: Decoded[Event], decoder: Decoder[Event], steady: Steady, now_ms: int
    ) -> Seen:
        """Return what was found; `decoded` keeps what is new. `decoder` reads what a partition had before."""
        seen = Seen()
        if not decoded.records:
            return seen
        ids, contents = _hashes(batch, decoded)
        patients = list(map(hash, map(_PATIENT_ID, decoded.records)))
        values = steady.values(decoded.records)
        repeated: dict[int, bool] = {}
        inconsistent: list[int] = []
        for span in batch.spans:
            first = bisect_left(decoded.rows, span.first_row)
            end = bisect_left(decoded.rows, span.first_row + len(span.offsets))
            partition = self._partitions.get(span.partition) or self.restore(
                batch.topic, span.partition, span.offsets[0], decoder, steady, now_ms
            )
            for position, same in partition.ids.add(ids[first:end], contents[first:end]).items():
                repeated[first + position] = same
            found = partition.patients.add(patients[first:end], values[first:end], steady.most)
            inconsistent += [first + position for position in found]
        seen.inconsistent = [decoded.records[position] for position in inconsistent if position not in repeated]
        if repeated:
            seen.repeated = [decoded.records[position] for position, same in repeated.items() if same]
            decoded.reject({position: _CHANGED for position, same in repeated.items() if not same}, also_drop=repeated)
        return seen

    def committed(self) -> None:
        for partition in self._partitions.values():
            partition.ids.committed()
            partition.patients.committed()

    def aborted(self) -> None:
        for partition in self._partitions.values():
            partition.ids.aborted()
            partition.patients.aborted()

    def reassigned(self) -> None:
        """Forget everything: what partitions had meanwhile is not known here."""
        self._partitions.clear()

    def restore(
        self, topic: str, partition: int, before: int, decoder: Decoder[Event], steady: Steady, now_ms: int
    ) -> _Partition:
        """Learn what a partition had before an offset; raises `RetryableError`, and then knows nothing of it."""
        made = _Partition()
        for batch in self._history(topic, partition, before, 2 * IDS):
            decoded = decoder(batch, now_ms)
            made.ids.add(*_hashes(batch, decoded))
            made.ids.committed()
            patients = list(map(hash, map(_PATIENT_ID, decoded.records)))
            made.patients.add(patients, steady.values(decoded.records), steady.most)
            made.patients.committed()
        self._partitions[partition] = made
        return made


def _hashes(batch: Batch, decoded: Decoded[Event]) -> tuple[list[int], list[int]]:
    values = batch.values
    taken = values if len(decoded.rows) == len(batch) else [values[row] for row in decoded.rows]
    return list(map(hash, map(_EVENT_ID, decoded.records))), list(map(hash, taken))
