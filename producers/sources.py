"""The contract between a source of records and the loop that publishes them."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from contracts.reasons import Reason
from contracts.topics import Topic

Headers = list[tuple[str, str | bytes | None]]

Deed = Literal["added", "changed", "withheld"]
"""What an attack did: send a record on top of the source's own, change one of these, or keep one back."""


class SourceRecord(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One record to publish.

    `source` names whose key signs it. `delay_s` is how long after its own batch it is due. `headers` not None replaces
    the signature. `event_id` is empty and `expected` set for a record that a worker must send to quarantine. `attack`
    labels the records of an attack for whoever counts them; it is no part of what is sent, and what is withheld is not
    sent at all.
    """

    topic: Topic
    key: bytes | None
    value: bytes | None
    source: str
    event_id: str = ""
    delay_s: float = 0.0
    headers: Headers | None = None
    expected: Reason | None = None
    attack: Deed | None = None


class Source(Protocol):
    """Where records come from: a file, a generator."""

    def take(self, count: int, at_ms: int) -> Sequence[SourceRecord]:
        """Return the next records: at most `count` patient events, and the outcomes that follow from them.

        What an attack adds is not counted: an attacker keeps to nobody's rate.

        `at_ms` (epoch milliseconds) is the moment of observation of events that bring none of their own. Fewer than
        `count` means nothing about the end; an empty answer to a positive count is the end, and every later call is
        empty too. The records depend on the source's seed and the order, never on how they are cut into calls.

        May block on a disk, never on a network. Raises `UserError` that names file, line and column; what earlier
        calls returned stays good.
        """
        ...


class Sink(Protocol):
    """Where records go: `producers.publish.Publisher`, or a list in a test."""

    def send(self, records: Sequence[SourceRecord]) -> None:
        """Hand records over in order; block while the sink is full; raise `UserError` once one was not delivered."""
        ...

    def poll(self, timeout_s: float) -> None:
        """Do the sink's own work for at most `timeout_s`, returning earlier when it likes; raise as `send` does."""
        ...
