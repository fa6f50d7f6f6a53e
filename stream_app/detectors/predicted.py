"""What was predicted of the last events of each partition, until their outcomes come."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import msgspec
import numpy as np

from contracts.events import Event
from models.sketch import Floats, Sketcher
from stream_app.batch import Batch
from stream_app.detectors.memories import IDS

_EVENT_ID = attrgetter("event_id")


class Answer(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What is remembered of a prediction: which model made it, and the score's bin, of `bins`, in its reference.

    There is one object for each bin of a model, so an event costs a reference to it and no more.
    """

    digest: str
    bin: int
    bins: int


@dataclass(slots=True)
class _Answers:
    """A generation of answers: those that were looked through by id, and those that nobody asked for yet."""

    count: int = 0
    by_id: dict[int, Answer] = field(default_factory=dict)
    waiting: list[tuple[Sequence[int], Sequence[Answer]]] = field(default_factory=list)

    def index(self) -> dict[int, Answer]:
        for ids, answers in self.waiting:
            self.by_id.update(zip(ids, answers, strict=True))
        self.waiting.clear()
        return self.by_id


@dataclass(slots=True)
class AnswerMemory:
    """What was predicted of the last events, by the hash of their id.

    Batches are kept as they came until an outcome is looked up: to find events by id costs 0.09 µs an event, and a
    worker that gets no outcomes need not.

    >>> memory, low = AnswerMemory(), Answer("sha256:…", 0, 10)
    >>> memory.add([1, 2], [low, low])
    >>> [answer and answer.bin for answer in memory.get([2, 3])]
    [0, None]
    """

    generation: int = IDS
    _new: _Answers = field(default_factory=_Answers)
    _old: _Answers = field(default_factory=_Answers)
    _uncommitted: list[Sequence[int]] = field(default_factory=list)

    def __len__(self) -> int:
        return self._new.count + self._old.count

    def add(self, ids: Sequence[int], answers: Sequence[Answer]) -> None:
        """Remember what was predicted of events that are new."""
        self._new.waiting.append((ids, answers))
        self._new.count += len(ids)
        self._uncommitted.append(ids)

    def get(self, ids: Sequence[int]) -> list[Answer | None]:
        """Return what was predicted of each event, None where it is not remembered."""
        new, old = self._new.index(), self._old.index()
        return [answer or old.get(identity) for identity, answer in zip(ids, map(new.get, ids), strict=True)]

    def committed(self) -> None:
        """Keep what was added; forget the older generation once the newer one is full."""
        self._uncommitted.clear()
        if self._new.count >= self.generation:
            self._old, self._new = self._new, _Answers()

    def aborted(self) -> None:
        """Forget what was added since the last commit: it will come again."""
        by_id = self._new.index()
        for ids in self._uncommitted:
            for identity in ids:
                by_id.pop(identity, None)
        self._new.count = len(by_id)
        self._uncommitted.clear()


class Answers:
    """Makes the answers of one model, by the bins of its reference."""

    def __init__(self, digest: str, sketcher: Sketcher, bins: int) -> None:
        self._bin_of = sketcher.score_bins
        self._of_bin = np.array([Answer(digest, at, bins) for at in range(bins)], dtype=object)

    def __call__(self, probabilities: Floats) -> list[Answer]:
        """Return the answer that each of `probabilities` (n,) is."""
        found: list[Answer] = self._of_bin.take(self._bin_of(probabilities)).tolist()
        return found


class Predicted:
    """Knows what was predicted of the last events of each partition that this worker holds."""

    def __init__(self) -> None:
        self._partitions: dict[int, AnswerMemory] = {}

    def add(self, batch: Batch, rows: list[int], ids: list[int], answers: list[Answer]) -> None:
        """Remember the answers to events that came from these rows of a batch."""
        for span in batch.spans:
            first = bisect_left(rows, span.first_row)
            end = bisect_left(rows, span.first_row + len(span.offsets))
            if first < end:
                memory = self._partitions.setdefault(span.partition, AnswerMemory())
                memory.add(ids[first:end], answers[first:end])

    def restore(self, partition: int, memory: AnswerMemory) -> None:
        """Take over what a partition had before."""
        self._partitions[partition] = memory

    def of(self, partition: int, ids: list[int]) -> list[Answer | None]:
        """Return what was predicted of events by the hash of their id, None where it is not remembered.

        An event should lie in the partition that its outcome has, but a producer may divide patients otherwise.
        """
        own = self._partitions.get(partition)
        found: list[Answer | None] = own.get(ids) if own else [None for _ in ids]
        for memory in self._partitions.values():
            missing = [position for position, answer in enumerate(found) if answer is None]
            if not missing:
                break
            for position, answer in zip(missing, memory.get([ids[at] for at in missing]), strict=True):
                found[position] = answer
        return found

    def committed(self) -> None:
        for memory in self._partitions.values():
            memory.committed()

    def aborted(self) -> None:
        for memory in self._partitions.values():
            memory.aborted()

    def reassigned(self) -> None:
        """Forget everything: what partitions had meanwhile is not known here."""
        self._partitions.clear()


def ids_of(events: Sequence[Event]) -> list[int]:
    """Return each event's id as a hash of 64 bits under a random key."""
    return list(map(hash, map(_EVENT_ID, events)))
