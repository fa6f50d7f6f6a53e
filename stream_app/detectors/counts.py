"""Counts of signals against the rules that say how many are too many.

They are kept in windows that follow each other; a rule that fires is told once a source and `QUIET_S`, and then with
what came since. Whatever the number of sources, `_MAX_COUNTS` counts are kept, the last that moved.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from contracts.alerts import Alert, alert
from contracts.detection import MAX_SAMPLES, Signal, Signals, SourceSignals
from stream_app.detectors.rules import CountRule

QUIET_S = 600
_MAX_COUNTS = 20_000

OF_SCORED: frozenset[Signal] = frozenset(
    ("near_threshold", "outside_usual", "contradictory", "unusual", "copied", "inconsistent")
)
"""Signals of events that were scored, and are counted as such already."""

EVERYBODY = "*"
"""The source of what is counted over all sources."""


@dataclass(slots=True)
class _Count:
    """What a rule counted of a source in the window that began at `window` (window's number)."""

    window: int = -1
    seen: int = 0
    records: int = 0
    first_ms: int = 0
    last_ms: int = 0
    samples: list[str] = field(default_factory=list)
    claimed: dict[str, int] = field(default_factory=dict)
    told_ms: int | None = None
    untold: int = 0


class Counts:
    """Counts signals and says when a rule fires."""

    def __init__(self, rules: Sequence[CountRule]) -> None:
        self._rules = rules
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def see(self, signals: Signals) -> list[Alert]:
        """Count the signals of a batch; return the alerts that they come to."""
        alerts: list[Alert] = []
        for rule in self._rules:
            everybody = _sum(signals.sources.values(), rule.signal) if rule.scope == "all" else None
            seen = {EVERYBODY: everybody} if everybody else signals.sources
            for source, of in seen.items():
                if rule.signal in of.counts or (rule.id, source) in self._counts:
                    found = self._count(rule, source, of, signals)
                    if found is not None:
                        alerts.append(found)
        return alerts

    def _count(self, rule: CountRule, source: str, of: SourceSignals, signals: Signals) -> Alert | None:
        count = self._counts.get((rule.id, source))
        if count is None:
            count = self._counts[rule.id, source] = _Count()
            if len(self._counts) > _MAX_COUNTS:
                self._counts.popitem(last=False)
        self._counts.move_to_end((rule.id, source))
        window = signals.at // (rule.window_s * 1000)
        if window > count.window:
            count.window, count.seen, count.records, count.first_ms = window, 0, 0, signals.at
            count.samples, count.claimed = [], {}
        new = of.counts.get(rule.signal, 0)
        count.seen += new
        count.records += sum(number for signal, number in of.counts.items() if signal not in OF_SCORED)
        count.samples += of.samples.get(rule.signal, [])[: MAX_SAMPLES - len(count.samples)]
        if new:
            count.last_ms = signals.at
            for claimed, theirs in signals.sources.items() if source == EVERYBODY else ():
                if claimed in count.claimed or len(count.claimed) < MAX_SAMPLES:
                    count.claimed[claimed] = count.claimed.get(claimed, 0) + theirs.counts.get(rule.signal, 0)
        if not new or count.seen < rule.count or count.seen < rule.share * count.records:
            return None
        if count.told_ms is not None and signals.at - count.told_ms < QUIET_S * 1000:
            count.untold += new
            return None
        count.told_ms, untold, count.untold = signals.at, count.untold, 0
        return _alert(rule, source, count, untold)


def _sum(sources: Iterable[SourceSignals], signal: Signal) -> SourceSignals | None:
    counts: dict[Signal, int] = {}
    samples: list[str] = []
    for of in sources:
        for name, number in of.counts.items():
            counts[name] = counts.get(name, 0) + number
        samples += of.samples.get(signal, [])[: MAX_SAMPLES - len(samples)]
    return SourceSignals(counts, {signal: samples}) if counts else None


def _alert(rule: CountRule, source: str, count: _Count, untold: int) -> Alert:
    claimed = sorted(filter(None, count.claimed), key=lambda name: -count.claimed[name])
    labels = {
        "source": source,
        "seen": str(count.seen),
        "of_records": str(count.records),
        "window_s": str(rule.window_s),
        "samples": " ".join(count.samples),
    }
    if claimed:
        labels["claimed_sources"] = " ".join(claimed)
    if untold:
        labels["seen_since_last_alert"] = str(untold)
    who = "all sources" if source == EVERYBODY else source
    return alert(
        rule.rule,
        f"{rule.name}: {count.seen} of {count.records} records of {who} within {rule.window_s} s",
        at_ms=count.last_ms,
        dataset="security",
        severity=rule.severity,
        technique=rule.technique,
        labels=labels,
        first_ms=count.first_ms,
        id=hashlib.sha256(f"{rule.id} {source} {count.window}".encode()).hexdigest()[:32],
    )
