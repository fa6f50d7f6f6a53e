"""The unit of work: what one poll brought, a batch a topic."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from contracts.mac import Headers

UNKNOWN_START = -1
"""`Span.start` of the first span after an assignment: it begins wherever the group's committed offset is."""


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a batch that one partition has: a row for each of `offsets`, from `first_row` on.

    `start` and `end` chain the spans of a partition: each starts where the one before it ended, so that what got lost
    on the way shows. They may lie further apart than there are rows: transactions and compaction leave gaps.
    """

    partition: int
    first_row: int
    start: int
    offsets: Sequence[int] = field(repr=False)

    @property
    def end(self) -> int:
        """The offset to go on from."""
        return self.offsets[-1] + 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one topic in columns, all of the same length.

    The rows of a partition follow each other in the order of their offsets; `spans` says which they are.
    """

    topic: str
    spans: Sequence[Span]
    keys: Sequence[bytes | None] = field(repr=False)
    values: Sequence[bytes | None] = field(repr=False)
    headers: Sequence[Headers] = field(repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def origin(self, row: int) -> str:
        """Return where the record of this row is, as topic/partition/offset."""
        span = self.spans[bisect_right(self.spans, row, key=_FIRST_ROW) - 1]
        return f"{self.topic}/{span.partition}/{span.offsets[row - span.first_row]}"


_FIRST_ROW = attrgetter("first_row")


@dataclass(frozen=True, slots=True)
class Poll:
    """The batches of one poll, one a topic; never empty.

    `epoch` is the stretch between rebalances that it was fetched in. `caught_up` says that it left nothing behind.
    """

    epoch: int
    caught_up: bool
    batches: Sequence[Batch]

    def ends(self) -> dict[tuple[str, int], int]:
        """Return the offset to go on from, for each topic and partition."""
        return {(batch.topic, span.partition): span.end for batch in self.batches for span in batch.spans}
