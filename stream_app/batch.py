"""The unit of work: the records of one partition that one poll brought."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.mac import Headers

UNKNOWN_START = -1
"""`Batch.start` of the first batch after an assignment: it begins wherever the group's committed offset is."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in columns, all of the same length, in the order of their offsets.

    `start` and `end` chain the batches of a partition: each starts where the one before it ended, so a batch that got
    lost on the way shows. `epoch` is the stretch between rebalances that it was fetched in. `drained` says that it is
    the last one of a poll that left nothing behind.
    """

    topic: str
    partition: int
    epoch: int
    start: int
    end: int
    drained: bool
    offsets: Sequence[int]
    keys: Sequence[bytes | None] = field(repr=False)
    values: Sequence[bytes | None] = field(repr=False)
    headers: Sequence[Headers] = field(repr=False)

    def __len__(self) -> int:
        return len(self.offsets)
