"""What a partition had already: events that come again, and patients who are suddenly somebody else.

An event's key is its patient, so the same event and the same patient come to the same partition, whoever sends them,
and so to the worker that holds it. The last events of each partition and the last patients are remembered
(memories.py); what is older is forgotten. A partition that is new here is read again first, back to what its last
holder remembered of events at least, and its events scored again by the champion of now: what another model said of
them is not known any more.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Protocol

import numpy as np

from contracts.detection import Signal
from contracts.errors import InvalidRecord
from contracts.events import Event
from contracts.features import FeatureTable, RangeCheck
from contracts.reasons import Reason
from stream_app.batch import Batch
from stream_app.decode import Decoded, Decoder
from stream_app.detectors.copies import CopyMemory
from stream_app.detectors.memories import IDS, Floats, IdMemory, PatientMemory
from stream_app.detectors.predicted import Answer, AnswerMemory, Predicted, ids_of
from stream_app.matrix import to_matrix

History = Callable[[str, int, int, int], Iterable[Batch]]
"""Reads again what a partition had: topic, partition, offset to stop before, how many records; blocks until read.

Raises `RetryableError` while the broker does not answer.
"""

_PATIENT_ID = attrgetter("patient_id")
_CHANGED = InvalidRecord(Reason.REPEATED, "expected an id that is new, got one that came with other bytes")


class PatientColumns:
    """Of a table, the columns that are `steady` in a patient (each but for `most`), and those that are `measured`."""

    def __init__(self, table: FeatureTable) -> None:
        steady = [(at, feature.steady) for at, feature in enumerate(table.features) if feature.steady is not None]
        self.steady = [at for at, _ in steady]
        self.measured = [
            at for at, feature in enumerate(table.features) if feature.codes is None and feature.steady is None
        ]
        self.most = np.array([most for _, most in steady], dtype=np.float64)
        self._out_of_range = RangeCheck(table)
        self._features = len(table.features)

    def of(self, events: list[Event]) -> tuple[list[Event], Floats]:
        """Return the events whose values can be true, and these values (n, features)."""
        values = to_matrix(events, self._features)
        bad = self._out_of_range(values)
        good = [position for position in range(len(events)) if position not in bad]
        return [events[position] for position in good], values[good]


class Reader(Protocol):
    """What reads a partition's past: the champion."""

    @property
    def decoder(self) -> Decoder[Event]: ...

    @property
    def columns(self) -> PatientColumns: ...

    def answer(self, values: Floats) -> list[Answer]:
        """Score `values` (n, features), NaN where missing; return nothing if no outcomes are compared with it."""


class Known:
    """Knows the events and the patients of its partitions, and what several patients had to the last digit.

    `predicted` is what was predicted of the events.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self.predicted = Predicted()
        self._last_ids: list[int] = []
        self._ids: dict[int, IdMemory] = {}
        self._patients, self._copies = PatientMemory(), CopyMemory()

    def drop_repeated(self, batch: Batch, decoded: Decoded[Event], champion: Reader, now_ms: int) -> list[Event]:
        """Take events that came before out of `decoded`: rejected with other bytes, with the same dropped and returned.

        `champion` reads what a partition had before this worker held it.
        """
        if not decoded.records:
            return []
        ids, contents = _hashes(batch, decoded)
        repeated: dict[int, bool] = {}
        for span in batch.spans:
            first = bisect_left(decoded.rows, span.first_row)
            end = bisect_left(decoded.rows, span.first_row + len(span.offsets))
            memory = self._ids.get(span.partition)
            if memory is None:
                memory = self.restore(batch.topic, span.partition, span.offsets[0], champion, now_ms)
            for position, same in memory.add(ids[first:end], contents[first:end]).items():
                repeated[first + position] = same
        self._last_ids = [each for position, each in enumerate(ids) if position not in repeated] if repeated else ids
        if not repeated:
            return []
        dropped = [decoded.records[position] for position, same in repeated.items() if same]
        decoded.reject({position: _CHANGED for position, same in repeated.items() if not same}, also_drop=repeated)
        return dropped

    def remember(self, batch: Batch, decoded: Decoded[Event], answers: list[Answer]) -> None:
        """Remember the answers to `decoded.records`, of the batch whose repeated events were dropped last."""
        ids = self._last_ids
        if len(ids) != len(answers):  # some were rejected since: a value out of its range
            ids = ids_of(decoded.records)
        self.predicted.add(batch, decoded.rows, ids, answers)

    def odd(self, events: list[Event], values: Floats, columns: PatientColumns) -> dict[Signal, list[int]]:
        """Return the positions of events whose patient is new or was somebody else, or that many patients had.

        `values` (n, features) are theirs, NaN where missing.
        """
        patients = patients_of(events)
        new, inconsistent = self._patients.add(patients, values[:, columns.steady], columns.most)
        found: dict[Signal, list[int]] = {
            "new_patient": new,
            "inconsistent": inconsistent,
            "copied": self._copies.add(patients, values[:, columns.measured]),
        }
        return {signal: positions for signal, positions in found.items() if positions}

    def committed(self) -> None:
        for memory in self._ids.values():
            memory.committed()
        self._patients.committed()
        self.predicted.committed()

    def aborted(self) -> None:
        for memory in self._ids.values():
            memory.aborted()
        self._patients.aborted()
        self.predicted.aborted()

    def reassigned(self) -> None:
        """Forget everything: what partitions had meanwhile is not known here."""
        self._ids.clear()
        self._patients, self._copies = PatientMemory(), CopyMemory()
        self.predicted.reassigned()

    def restore(self, topic: str, partition: int, before: int, champion: Reader, now_ms: int) -> IdMemory:
        """Learn what a partition had before an offset; raises `RetryableError`, and then knows none of its events."""
        made, answers, columns = IdMemory(), AnswerMemory(), champion.columns
        for batch in self._history(topic, partition, before, 2 * IDS):
            decoded = champion.decoder(batch, now_ms)
            made.add(*_hashes(batch, decoded))
            made.committed()
            events, values = columns.of(decoded.records)
            if given := champion.answer(values):
                answers.add(ids_of(events), given)
                answers.committed()
            patients = patients_of(events)
            self._patients.learn(patients, values[:, columns.steady], columns.most)
            self._copies.add(patients, values[:, columns.measured])
        self._ids[partition] = made
        self.predicted.restore(partition, answers)
        return made


def patients_of(events: list[Event]) -> list[int]:
    """Return each event's patient as a hash of 64 bits under a random key."""
    return list(map(hash, map(_PATIENT_ID, events)))


def _hashes(batch: Batch, decoded: Decoded[Event]) -> tuple[list[int], list[int]]:
    values = batch.values
    taken = values if len(decoded.rows) == len(batch) else [values[row] for row in decoded.rows]
    return ids_of(decoded.records), list(map(hash, taken))
