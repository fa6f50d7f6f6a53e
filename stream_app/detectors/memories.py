"""What is remembered: event ids and patients, the last of them, and no more than was committed.

What was added since the last commit is undone by `aborted`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

IDS = 16_384
PATIENTS = 131_072


@dataclass(slots=True)
class IdMemory:
    """The ids of a partition's last events, and what their bytes were, as hashes of 64 bits under a random key.

    There are two generations: the newer one fills until it has `generation` entries, then the older is forgotten.

    >>> memory = IdMemory()
    >>> memory.add([1, 2], [10, 20])
    {}
    >>> memory.add([2, 1], [20, 11])  # the same bytes, other bytes
    {0: True, 1: False}
    """

    generation: int = IDS
    _new: dict[int, int] = field(default_factory=dict)
    _old: dict[int, int] = field(default_factory=dict)
    _uncommitted: list[Sequence[int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def committed(self) -> None:
        """Keep what was added; forget the older generation once the newer one is full."""
        self._uncommitted.clear()
        if len(self._new) >= self.generation:
            self._old, self._new = self._new, {}

    def aborted(self) -> None:
        """Forget what was added since the last commit: it will come again."""
        for key in chain.from_iterable(self._uncommitted):
            self._new.pop(key, None)
        self._uncommitted.clear()

    def add(self, ids: Sequence[int], contents: Sequence[int]) -> dict[int, bool]:
        """Remember events; return the positions of those that came before, and whether with the same bytes."""
        if len(set(ids)) == len(ids) and self._new.keys().isdisjoint(ids) and self._old.keys().isdisjoint(ids):
            self._new.update(zip(ids, contents, strict=True))
            self._uncommitted.append(ids)
            return {}
        added: list[int] = []
        found: dict[int, bool] = {}
        for position, (identity, content) in enumerate(zip(ids, contents, strict=True)):
            before = self._new.get(identity, self._old.get(identity))
            if before is not None:
                found[position] = before == content
            else:
                self._new[identity] = content
                added.append(identity)
        self._uncommitted.append(added)
        return found


class PatientMemory:
    """The last patients, by hash, with what does not change in a patient: the first that was seen.

    Of `capacity` patients (more than a batch has) the one who was new the longest ago is forgotten first.

    >>> memory, visits = PatientMemory(), np.array([[63, 1], [40, 0], [64, 1], [np.nan, 1], [40, 1]])
    >>> memory.add([1, 2, 1, 1, 2], visits, np.array([1, 0]))
    ([0, 1], [4])
    """

    def __init__(self, capacity: int = PATIENTS) -> None:
        self._slots: dict[int, int] = {}
        self._patients = [0] * capacity
        self._values = np.empty((capacity, 0))
        self._next = 0
        self._uncommitted: list[int] = []

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, patients: Sequence[int], values: Floats, most: Floats) -> tuple[list[int], list[int]]:
        """Remember patients; return the positions of who is new, and where one differs from before by more than `most`.

        `values` (n, features) are what does not change, NaN where missing; `most` (features,).
        """
        if self._values.shape[1] != len(most):  # another table of features
            self._slots.clear()
            self._values = np.empty((len(self._patients), len(most)))
        slots = np.fromiter(map(self._slots.get, patients, repeat(-1)), np.intp, len(patients))
        new: list[int] = []
        for position in np.flatnonzero(slots < 0).tolist():
            slot = self._slots.get(patients[position])  # he may have come meanwhile
            if slot is None:
                slot = self._new_slot(patients[position], values[position])
                new.append(position)
            slots[position] = slot
        far = np.abs(values - self._values[slots]) > most
        return new, np.flatnonzero(far.any(axis=1)).tolist()

    def learn(self, patients: Sequence[int], values: Floats, most: Floats) -> None:
        """Remember patients of records that are committed."""
        before = len(self._uncommitted)
        self.add(patients, values, most)
        del self._uncommitted[before:]

    def committed(self) -> None:
        """Keep what was added."""
        self._uncommitted.clear()

    def aborted(self) -> None:
        """Forget what was added since the last commit: it will come again."""
        for patient in self._uncommitted:
            self._slots.pop(patient, None)
        self._uncommitted.clear()

    def _new_slot(self, patient: int, values: Floats) -> int:
        """Give a patient a slot, and return it."""
        slot = self._next
        self._next = (slot + 1) % len(self._patients)
        if self._slots.get(self._patients[slot]) == slot:
            del self._slots[self._patients[slot]]
        self._slots[patient], self._patients[slot], self._values[slot] = slot, patient, values
        self._uncommitted.append(patient)
        return slot
