"""What workers tell the one that watches: counts of what was seen of each source, a record for each batch.

Internal (topic detection-signals): no consumer but CardioSentry's own, and free to change with it.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from contracts.reasons import Reason

Signal: TypeAlias = Literal[
    "scored",
    "near_threshold",
    "outside_usual",
    "contradictory",
    "unusual",
    "copied",
    "just_below",
    "new_patient",
    "new_near",
    "late",
    "repeated",
    "inconsistent",
    "changed",
    "forged",
    "future",
    "malformed",
    "unpseudonymised",
    "implausible",
]

SIGNAL_OF: dict[Reason, Signal] = {
    Reason.EMPTY: "malformed",
    Reason.NOT_UTF8: "malformed",
    Reason.NOT_JSON: "malformed",
    Reason.SCHEMA: "malformed",
    Reason.IDENTIFIER: "malformed",
    Reason.PSEUDONYM: "unpseudonymised",
    Reason.KEY_MISMATCH: "malformed",
    Reason.HEADERS: "malformed",
    Reason.MAC_MISSING: "forged",
    Reason.MAC_KEY_UNKNOWN: "forged",
    Reason.MAC_WRONG: "forged",
    Reason.SOURCE_NOT_BOUND: "forged",
    Reason.FUTURE: "future",
    Reason.REPEATED: "changed",
    Reason.OUT_OF_RANGE: "implausible",
}
"""What a record that went to quarantine is a sign of; one of a blocked source is a sign of nothing new."""

MAX_SAMPLES = 3
MAX_SOURCES = 200
"""Of one batch; what more there are is counted under the source ""."""

# Bounds, because whoever may write to the topic chooses what is read there.
Moment = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
"""Epoch milliseconds, to the end of the year 9999: the last that a date can hold."""
Number = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""A number of what is expected or weighted."""
SourceName = Annotated[str, msgspec.Meta(max_length=131)]
Sample = Annotated[str, msgspec.Meta(max_length=300)]
Samples = Annotated[list[Sample], msgspec.Meta(max_length=MAX_SAMPLES)]


class SourceSignals(msgspec.Struct, frozen=True):
    """Of one source: how often each signal was seen, and where for a few of them.

    A sample is an event id, or topic/partition/offset of a record that went to quarantine.
    """

    counts: dict[Signal, Number] = {}
    samples: dict[Signal, Samples] = {}


class Part(msgspec.Struct, frozen=True):
    """A batch's scored events in a sketch (models/sketch.py), by the bins of one reference.

    That is the baseline of this version of the model that scored them, its own reference for 0: only parts of the same
    digest and baseline add up.
    """

    digest: str
    events: Number
    totals: list[Annotated[int, msgspec.Meta(ge=-(10**12), le=10**12)]]
    baseline: Number = 0


class Outcomes(msgspec.Struct, frozen=True):
    """A batch's outcomes of events that one model scored, once each.

    By source: how many had a score in each bin of the model's reference (its `score` column, missing left out), then
    how many of these were 1. Whole numbers, so that batches add up to the same in any order.
    """

    digest: str
    sources: dict[SourceName, list[Number]]

    def of_bins(self, bins: int) -> dict[str, list[int]]:
        """Return the sums of so many bins: a stranger's that cannot be true are left out."""
        return {
            source: sums
            for source, sums in self.sources.items()
            if len(sums) == 2 * bins and all(ones <= seen for seen, ones in zip(sums, sums[bins:], strict=False))
        }


class Signals(msgspec.Struct, frozen=True):
    """Of one batch, processed at `at` (epoch milliseconds). The source "" is whatever could not be read.

    `unmatched` is how many outcomes of a source are of events whose prediction is not remembered.
    """

    at: Moment
    sources: dict[SourceName, SourceSignals]
    part: Part | None = None
    outcomes: list[Outcomes] = []
    unmatched: dict[SourceName, Number] = {}
