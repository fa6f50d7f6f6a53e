"""Drift on the page: what the champion scored in the last minutes beside what it is compared with.

Workers tell of each batch how many of its values fell into which bin of the reference (contracts.detection.Part), so
the console needs no access to patient events. The statistics are the drift detector's own; the caller hands them in.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from contracts.detection import Part
from monitoring.console.ring import Ring

_SLOTS, _STEP_MS = 60, 10_000
_REFERENCES = 3  # of which parts are kept: whoever may write signals could name any number
_MOST_TOTALS = 10_000
_LARGEST = 10**12  # sums of so many slots stay below 64 bits


class ShownColumn(msgspec.Struct, frozen=True):
    """A variable for people: the names of its bins and the shares that are expected in them."""

    name: str
    title: str
    unit: str
    bins: tuple[str, ...]
    expected: tuple[float, ...]


@dataclass(frozen=True)
class Reference:
    """What the champion's stream is compared with.

    `rarities` takes the totals of a sketch and its number of events and returns for each statistic the log of how many
    windows lie between two values as high by chance. `limit` takes the milliseconds that a window takes and returns the
    rarity at which the detector alarms. A window has at least `window_events` events, a sketch so many `totals`.
    """

    digest: str
    baseline: int
    window_events: int
    totals: int
    columns: tuple[ShownColumn, ...]
    together: Mapping[str, str]
    rarities: Callable[[Sequence[int], int], Mapping[str, float]]
    limit: Callable[[float], float]


class ShownDrift(msgspec.Struct, frozen=True):
    """The last minutes: `seen` has each column's counts by bin.

    `rarity` is of each statistic, in logs of windows, and `limit` is where the detector alarms; both are empty while
    there are too few events.
    """

    events: int
    minutes: int
    seen: dict[str, list[int]]
    rarity: dict[str, float]
    limit: float | None


class DriftBoard:
    """Adds up the parts of the last ten minutes by their reference."""

    def __init__(self) -> None:
        self._rings: OrderedDict[tuple[str, int, int], Ring] = OrderedDict()

    def take(self, part: Part, at_ms: int, *, now_ms: int) -> None:
        """Take what one batch came to; what no worker can have written is left out."""
        if part.events < 1 or len(part.totals) > _MOST_TOTALS or max(map(abs, part.totals), default=0) > _LARGEST:
            return
        key = (part.digest, part.baseline, len(part.totals))
        ring = self._rings.pop(key, None) or Ring(2 + len(part.totals), slots=_SLOTS, step_ms=_STEP_MS)
        self._rings[key] = ring
        if len(self._rings) > _REFERENCES:
            self._rings.popitem(last=False)
        ring.add(at_ms, (1, part.events, *part.totals), now_ms=now_ms)

    def shown(self, reference: Reference, now_ms: int) -> ShownDrift:
        """Return the last ten minutes beside `reference`."""
        parts, events, covered_ms, totals = 0, 0, 0, [0] * reference.totals
        ring = self._rings.get((reference.digest, reference.baseline, reference.totals))
        if ring is not None:
            parts, events, *totals = ring.total(now_ms).tolist()
            covered_ms = ring.covered_ms(now_ms)
        seen, first = {}, 0
        for column in reference.columns:
            seen[column.name] = totals[first : first + len(column.bins)]
            first += len(column.bins)
        rarity: dict[str, float] = {}
        limit = None
        if events >= reference.window_events:
            found = reference.rarities(totals, events)
            rarity = {name: round(value, 2) for name, value in found.items() if math.isfinite(value)}
            windows = min(parts, events / reference.window_events)  # a window is a batch, or some that are small
            limit = round(reference.limit(max(covered_ms, 1) / windows), 2)
        return ShownDrift(events, _SLOTS * _STEP_MS // 60_000, seen, rarity, limit)
