"""Events that come again: an id that a partition has had already.

An event's key is its patient, so the same event comes to the same partition, whoever sends it again. Each partition
remembers the ids of its last events: all of the last `GENERATION`, at most two generations and what is not committed.
What is older is forgotten; a replay of it shows by its old `observed_at`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from contracts.errors import InvalidRecord
from contracts.events import Event
from contracts.reasons import Reason
from stream_app.batch import Batch
from stream_app.decode import Decoded, Decoder

GENERATION = 16_384
"""Two of them are 3.5 MB, and read again in 0.2 s by who takes a partition over (`make bench-restore`)."""

_EVENT_ID = attrgetter("event_id")

History = Callable[[str, int, int, int], Iterable[Batch]]
"""Reads again what a partition had: topic, partition, offset to stop before, how many records; blocks until read.

Raises `RetryableError` while the broker does not answer.
"""


@dataclass(slots=True)
class IdMemory:
    """The ids of one partition's last events, and what their bytes were, as hashes of 64 bits under a random key.

    >>> memory = IdMemory()
    >>> memory.add([1, 2], [10, 20])
    {}
    >>> memory.add([2, 1], [20, 11])  # the same bytes, other bytes
    {0: True, 1: False}
    """

    generation: int = GENERATION
    _new: dict[int, int] = field(default_factory=dict)
    _old: dict[int, int] = field(default_factory=dict)
    _uncommitted: list[int] = field(default_factory=list)

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

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def committed(self) -> None:
        """Keep what was added; forget the older generation once the newer one is full."""
        self._uncommitted.clear()
        if len(self._new) >= self.generation:
            self._old, self._new = self._new, {}

    def aborted(self) -> None:
        """Forget what was added since the last commit: it will come again."""
        for identity in self._uncommitted:
            self._new.pop(identity, None)
        self._uncommitted.clear()


class Repeats:
    """Takes events that came before out of a batch: dropped with the same bytes, rejected with others.

    A partition that is new here is read again first, back to what its last holder remembered at least.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._memories: dict[int, IdMemory] = {}

    def __call__(self, batch: Batch, decoded: Decoded[Event], decoder: Decoder[Event], now_ms: int) -> list[Event]:
        """Return the events that were dropped."""
        if not decoded.records:
            return []
        ids, contents = _hashes(batch, decoded)
        repeated: dict[int, bool] = {}
        for span in batch.spans:
            first = bisect_left(decoded.rows, span.first_row)
            end = bisect_left(decoded.rows, span.first_row + len(span.offsets))
            memory = self._memories.get(span.partition)
            if memory is None:
                memory = self.restore(batch.topic, span.partition, span.offsets[0], decoder, now_ms)
            for position, same in memory.add(ids[first:end], contents[first:end]).items():
                repeated[first + position] = same
        if not repeated:
            return []
        dropped = [decoded.records[position] for position, same in repeated.items() if same]
        decoded.reject({position: _CHANGED for position, same in repeated.items() if not same}, also_drop=repeated)
        return dropped

    def committed(self) -> None:
        for memory in self._memories.values():
            memory.committed()

    def aborted(self) -> None:
        for memory in self._memories.values():
            memory.aborted()

    def reassigned(self) -> None:
        """Forget everything: what partitions had meanwhile is not known here."""
        self._memories.clear()

    def restore(self, topic: str, partition: int, before: int, decoder: Decoder[Event], now_ms: int) -> IdMemory:
        """Learn what a partition had before an offset; raises `RetryableError`, and then knows nothing of it."""
        memory = IdMemory()
        for batch in self._history(topic, partition, before, 2 * GENERATION):
            memory.add(*_hashes(batch, decoder(batch, now_ms)))
            memory.committed()
        self._memories[partition] = memory
        return memory


_CHANGED = InvalidRecord(Reason.REPEATED, "expected an id that is new, got one that came with other bytes")


def _hashes(batch: Batch, decoded: Decoded[Event]) -> tuple[list[int], list[int]]:
    values = batch.values
    taken = values if len(decoded.rows) == len(batch) else [values[row] for row in decoded.rows]
    return list(map(hash, map(_EVENT_ID, decoded.records))), list(map(hash, taken))
