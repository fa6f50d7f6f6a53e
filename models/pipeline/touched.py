"""What a security alert touches: records that nobody should learn from until a person has looked.

An alert touches

1. the events that it names as samples;
2. what its source (all sources, where it is "*") sent between `before_s` before its first sign and `after_s` after its
   last. Events count by when they were scored, on the workers' clocks, which are the alerts' own: what a sender writes
   into a record moves nothing out. An outcome counts by its record's time in Kafka, for nothing else tells it; a topic
   with `message.timestamp.type=LogAppendTime` has the broker's.
3. where it says that alerts before it were not written: everything between the last one that was and itself.

Alerts of rules that are listed as `untouching` touch nothing: whatever raised them is in quarantine, or never came.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.alerts import Alert

EVERYBODY = "*"
_NOT_WRITTEN = "alerts_not_written_before"

Times = npt.NDArray[np.int64]
"""Epoch milliseconds, shape (n,) int64."""


class Touched:
    """What `alerts` touch, in whatever order they come."""

    def __init__(self, alerts: Iterable[Alert], *, before_s: int, after_s: int, untouching: Sequence[str]) -> None:
        self.count = 0
        self.row_ids: set[str] = set()
        spans: dict[str, list[tuple[int, int]]] = {}
        last_ms: int | None = None
        for alert in sorted(alerts, key=lambda each: _ms(each.timestamp)):
            at_ms = _ms(alert.timestamp)
            if _NOT_WRITTEN in alert.labels:
                spans.setdefault(EVERYBODY, []).append((at_ms if last_ms is None else last_ms, at_ms))
            last_ms = at_ms
            if alert.is_end or alert.rule.id in untouching or not (source := alert.labels.get("source")):
                continue
            self.count += 1
            self.row_ids.update(map(row_id, alert.labels.get("samples", "").split()))
            start = alert.event.start
            first_ms = at_ms if start is msgspec.UNSET else _ms(start)
            spans.setdefault(source, []).append((first_ms - before_s * 1000, at_ms + after_s * 1000))
        self._spans = {source: _merged(found) for source, found in spans.items()}

    def at(self, sources: Sequence[str], times_ms: Times) -> npt.NDArray[np.bool_]:
        """Return (n,) bool: whether what the source sent at that time is touched."""
        if not self._spans:
            return np.zeros(len(times_ms), dtype=np.bool_)
        touched = self._inside(EVERYBODY, times_ms)
        names = np.asarray(sources, dtype=object)
        for source in set(sources) & self._spans.keys():
            of = names == source
            touched[of] |= self._inside(source, times_ms[of])
        return touched

    def _inside(self, source: str, times_ms: Times) -> npt.NDArray[np.bool_]:
        if source not in self._spans:
            return np.zeros(len(times_ms), dtype=np.bool_)
        starts, ends = self._spans[source]
        place = np.searchsorted(starts, times_ms, side="right") - 1
        inside: npt.NDArray[np.bool_] = (place >= 0) & (times_ms <= ends[place])
        return inside


def row_id(event_id: str) -> str:
    """Return the id that an event's row has in a snapshot."""
    return hashlib.sha256(event_id.encode()).hexdigest()[:32]


def _merged(spans: list[tuple[int, int]]) -> tuple[Times, Times]:
    """Return starts and ends of spans that do not overlap, rising."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    starts, ends = zip(*merged, strict=True)
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)


def _ms(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)
