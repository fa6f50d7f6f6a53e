"""A uniform sample of a stream's distinct events, in bounded memory however long the stream is.

Event ids are hashed under a key that nobody knows (the interpreter's own), and the events of the lowest hashes kept: a
bottom-k sketch (Cohen and Kaplan, Summarizing Data Using Bottom-k Sketches, PODC 2007). So an event that comes again
counts once, and no sender can choose ids that are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.events import Event

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Events:
    """Of each event: the hash of its id and of its patient, its source, when it was observed, and its features.

    All (n,) but `values`, which is (n, features) float64, NaN where missing. Times are epoch milliseconds.
    """

    ids: Integers
    patients: Integers
    observed_at: Integers
    sources: npt.NDArray[np.object_]
    values: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Integers | npt.NDArray[np.bool_]) -> "Events":
        """Return the events at `rows`, a mask (n,) or indices."""
        return Events(
            self.ids[rows], self.patients[rows], self.observed_at[rows], self.sources[rows], self.values[rows]
        )


class EventSample:
    """Keeps at most `most` of the events that it is shown, each distinct one with the same chance; holds twice that."""

    def __init__(self, most: int, features: int) -> None:
        self._most = most
        none = np.empty(0, np.int64)
        self._kept = Events(none, none, none, np.empty(0, object), np.empty((0, features)))
        self._new: list[Events] = []
        self._held = 0
        self._highest = np.iinfo(np.int64).max

    def add(self, events: Sequence[Event], values: Floats) -> None:
        """Show it events and their features (n, features)."""
        sources = np.empty(len(events), object)
        sources[:] = [event.source for event in events]
        shown = Events(
            np.array([hash(event.event_id) for event in events], np.int64),
            np.array([hash(event.patient_id) for event in events], np.int64),
            np.array([event.observed_at for event in events], np.int64),
            sources,
            values,
        )
        low = shown.take(shown.ids <= self._highest)
        self._new.append(low)
        self._held += len(low)
        if self._held > self._most:
            self._cut()

    @property
    def events(self) -> Events:
        """Return what is kept, in no order that means anything."""
        self._cut()
        return self._kept

    def _cut(self) -> None:
        parts = (self._kept, *self._new)
        joined = Events(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.patients for part in parts]),
            np.concatenate([part.observed_at for part in parts]),
            np.concatenate([part.sources for part in parts]),
            np.concatenate([part.values for part in parts]),
        )
        _, first = np.unique(joined.ids, return_index=True)  # sorted by id; of one that came again, the first
        self._kept, self._new, self._held = joined.take(first[: self._most]), [], 0
        if len(self._kept) == self._most:
            self._highest = int(self._kept.ids[-1])
