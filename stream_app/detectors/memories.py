"""What is remembered of one partition: event ids and patients, the last of them, and no more than was committed.

Each keeps two generations: the newer one fills until it has `generation` entries, then the older is forgotten. What was
added since the last commit is undone by `aborted`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

V = TypeVar("V")

IDS = 16_384
PATIENTS = 8_192

SteadyValues = tuple[float | None, ...]
"""A patient's values of the features that do not change, None where missing."""


@dataclass(slots=True)
class _Generations(Generic[V]):
    generation: int
    _new: dict[int, V] = field(default_factory=dict)
    _old: dict[int, V] = field(default_factory=dict)
    _uncommitted: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def committed(self) -> None:
        """Keep what was added; forget the older generation once the newer one is full."""
        self._uncommitted.clear()
        if len(self._new) >= self.generation:
            self._old, self._new = self._new, {}

    def aborted(self) -> None:
        """Forget what was added since the last commit: it will come again."""
        for key in self._uncommitted:
            self._new.pop(key, None)
        self._uncommitted.clear()


@dataclass(slots=True)
class IdMemory(_Generations[int]):
    """The ids of the last events, and what their bytes were, as hashes of 64 bits under a random key.

    >>> memory = IdMemory()
    >>> memory.add([1, 2], [10, 20])
    {}
    >>> memory.add([2, 1], [20, 11])  # the same bytes, other bytes
    {0: True, 1: False}
    """

    generation: int = IDS

    def add(self, ids: Sequence[int], contents: Sequence[int]) -> dict[int, bool]:
        """Remember events; return the positions of those that came before, and whether with the same bytes."""
        if len(set(ids)) == len(ids) and self._new.keys().isdisjoint(ids) and self._old.keys().isdisjoint(ids):
            self._new.update(zip(ids, contents, strict=True))
            self._uncommitted.extend(ids)
            return {}
        found: dict[int, bool] = {}
        for position, (identity, content) in enumerate(zip(ids, contents, strict=True)):
            before = self._new.get(identity, self._old.get(identity))
            if before is not None:
                found[position] = before == content
            else:
                self._new[identity] = content
                self._uncommitted.append(identity)
        return found


@dataclass(slots=True)
class PatientMemory(_Generations[SteadyValues]):
    """The last patients, by hash, with what does not change in a patient: the first that was seen.

    >>> memory = PatientMemory()
    >>> memory.add([1, 2, 1, 1, 2], [(63, 1), (40, 0), (64, 1), (None, 1), (40, 1)], (1, 0))
    [4]
    """

    generation: int = PATIENTS

    def add(self, patients: Sequence[int], values: Sequence[SteadyValues], most: Sequence[float]) -> list[int]:
        """Remember patients; return the positions where one differs from before by more than `most`, by feature."""
        new, old = self._new, self._old
        found: list[int] = []
        for position, (patient, value) in enumerate(zip(patients, values, strict=True)):
            before = new.get(patient)
            if before == value:
                continue
            if before is None:
                before = old.get(patient)
                new[patient] = before or value
                self._uncommitted.append(patient)
            if before is not None and any(
                a is not None and b is not None and abs(a - b) > limit
                for a, b, limit in zip(before, value, most, strict=True)
            ):
                found.append(position)
        return found
