"""From a batch to what is worth telling of it: signals, counted for each source."""

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter

from contracts.detection import MAX_SAMPLES, MAX_SOURCES, SIGNAL_OF, Part, Signal, Signals, SourceSignals
from contracts.events import Event, Outcome
from stream_app.batch import Batch
from stream_app.decode import Decoded
from stream_app.detectors.outcomes import Matched

LATE_MS = 600_000
"""Observed so long ago is "late": more than queues and retries take, less than a clock that is wrong by an hour."""

_NAMED = 100  # of a batch and signal, whose ids may be samples: more cost time where most events show the signal

_SOURCE, _SOURCE_AND_ID = attrgetter("source"), attrgetter("source", "event_id")
_OBSERVED_AT = attrgetter("observed_at")


def of_events(
    batch: Batch,
    decoded: Decoded[Event],
    repeated: list[Event],
    odd: Mapping[Signal, list[int]],
    part: Part | None,
    now_ms: int,
) -> Signals:
    """Return the signals of a batch of patient events.

    `repeated` were dropped; `odd` has the positions in `decoded` of those that show a signal; `part` is the sketch of
    what was scored.
    """
    found = _Found()
    sources = list(map(_SOURCE, decoded.records))
    found.count("scored", Counter(sources))
    late = now_ms - LATE_MS
    if min(map(_OBSERVED_AT, decoded.records), default=late) < late:
        odd = {**odd, "late": [at for at, event in enumerate(decoded.records) if event.observed_at < late]}
    for signal, positions in odd.items():
        named, counted = positions[:_NAMED], positions[_NAMED:]
        found.add(signal, (_SOURCE_AND_ID(decoded.records[position]) for position in named))
        found.count(signal, Counter(map(sources.__getitem__, counted)))
    found.add("repeated", ((event.source, event.event_id) for event in repeated))
    _add_rejected(found, batch, decoded)
    return Signals(now_ms, found.sources(), part)


def of_outcomes(batch: Batch, decoded: Decoded[Outcome], matched: Matched, now_ms: int) -> Signals:
    """Return the signals of a batch of outcomes: those that went to quarantine, and sums of those that are good."""
    found = _Found()
    _add_rejected(found, batch, decoded)
    return Signals(now_ms, found.sources(), outcomes=matched.told, unmatched=matched.unmatched)


def _add_rejected(found: "_Found", batch: Batch, decoded: Decoded[Event] | Decoded[Outcome]) -> None:
    by_signal: dict[Signal, list[tuple[str, str]]] = {}
    for row, error in decoded.rejected.items():
        signal = SIGNAL_OF.get(error.reason)
        if signal is not None:
            by_signal.setdefault(signal, []).append((decoded.claimed.get(row, ""), batch.origin(row)))
    for each, seen in by_signal.items():
        found.add(each, seen)


class _Found:
    """Counts and samples by source; sources beyond the limit are one."""

    def __init__(self) -> None:
        self._sources: dict[str, SourceSignals] = {}

    def add(self, signal: Signal, seen: Iterable[tuple[str, str]]) -> None:
        for source, sample in seen:
            of = self._of(source)
            of.counts[signal] = of.counts.get(signal, 0) + 1
            samples = of.samples.setdefault(signal, [])
            if len(samples) < MAX_SAMPLES:
                samples.append(sample)

    def count(self, signal: Signal, counts: Counter[str]) -> None:
        for source, count in counts.items():
            of = self._of(source)
            of.counts[signal] = of.counts.get(signal, 0) + count

    def sources(self) -> dict[str, SourceSignals]:
        return self._sources

    def _of(self, source: str) -> SourceSignals:
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            source = ""
        return self._sources.setdefault(source, SourceSignals({}, {}))
