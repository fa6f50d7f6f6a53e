"""Counts of signals against the rules that say how many are too many.

They are kept in windows that follow each other, for some rules in a second and longer one; a rule that fires is told
once a source and `QUIET_S`, and then with what came since. Whatever the number of sources, `MAX_COUNTS` counts are
kept, the last that moved.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from contracts.alerts import Alert, alert
from contracts.detection import MAX_SAMPLES, Moment, Number, Samples, Signal, Signals, SourceName, SourceSignals
from stream_app.detectors.rules import CountRule, Limit

QUIET_S = 600
MAX_COUNTS = 5_000

OF_SCORED: frozenset[Signal] = frozenset(
    (
        "near_threshold",
        "just_below",
        "outside_usual",
        "contradictory",
        "unusual",
        "copied",
        "inconsistent",
        "new_patient",
        "new_near",
        "late",
    )
)
"""Signals of events that were scored, and are counted as such already."""

EVERYBODY = "*"
"""The source of what is counted over all sources."""


class _Window(msgspec.Struct, array_like=True):
    """What a rule counted of a source in the window that is number `number`."""

    number: int = -1
    seen: Number = 0
    records: Number = 0
    first_ms: Moment = 0
    samples: Samples = []
    claimed: dict[SourceName, Number] = {}


class Count(msgspec.Struct, array_like=True):
    """What a rule counted of a source: a window for each of its limits, and what was told."""

    windows: list[_Window]
    last_ms: Moment = 0
    told_ms: Moment | None = None
    untold: Number = 0


CountsState = list[tuple[str, SourceName, Count]]
"""What is to be remembered: (rule's id, source, count), the last that moved last."""


class Counts:
    """Counts signals and says when a rule fires."""

    def __init__(self, rules: Sequence[CountRule]) -> None:
        self._rules = rules
        self._counts: OrderedDict[tuple[str, str], Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def state(self) -> CountsState:
        return [(rule, source, count) for (rule, source), count in self._counts.items()]

    def restore(self, state: CountsState) -> None:
        """Go on from the state of another of the same rules."""
        windows = {rule.id: len(rule.limits) for rule in self._rules}
        known = (each for each in state if windows.get(each[0]) == len(each[2].windows))
        self._counts = OrderedDict(((rule, source), count) for rule, source, count in islice(known, MAX_COUNTS))

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
            count = self._counts[rule.id, source] = Count([_Window() for _ in rule.limits])
            if len(self._counts) > MAX_COUNTS:
                self._counts.popitem(last=False)
        self._counts.move_to_end((rule.id, source))
        new = of.counts.get(rule.signal, 0)
        if new:
            count.last_ms = signals.at
        records = sum(number for signal, number in of.counts.items() if signal not in OF_SCORED)
        fired: tuple[Limit, _Window] | None = None
        for limit, window in zip(rule.limits, count.windows, strict=True):
            number = signals.at // (limit.window_s * 1000)
            if number > window.number:
                window.number, window.seen, window.records, window.first_ms = number, 0, 0, signals.at
                window.samples, window.claimed = [], {}
            window.seen += new
            window.records += records
            if new and len(window.samples) < MAX_SAMPLES:
                window.samples += of.samples.get(rule.signal, [])[: MAX_SAMPLES - len(window.samples)]
            for claimed, theirs in signals.sources.items() if new and source == EVERYBODY else ():
                if claimed in window.claimed or len(window.claimed) < MAX_SAMPLES:
                    window.claimed[claimed] = window.claimed.get(claimed, 0) + theirs.counts.get(rule.signal, 0)
            if fired is None and window.seen >= limit.count and window.seen >= limit.share * window.records:
                fired = limit, window
        if not new or fired is None:
            return None
        if count.told_ms is not None and signals.at - count.told_ms < QUIET_S * 1000:
            count.untold += new
            return None
        count.told_ms, untold, count.untold = signals.at, count.untold, 0
        return _alert(rule, source, *fired, count.last_ms, untold)


def _sum(sources: Iterable[SourceSignals], signal: Signal) -> SourceSignals | None:
    counts: dict[Signal, int] = {}
    samples: list[str] = []
    for of in sources:
        for name, number in of.counts.items():
            counts[name] = counts.get(name, 0) + number
        samples += of.samples.get(signal, [])[: MAX_SAMPLES - len(samples)]
    return SourceSignals(counts, {signal: samples}) if counts else None


def _alert(rule: CountRule, source: str, limit: Limit, window: _Window, at_ms: int, untold: int) -> Alert:
    claimed = sorted(filter(None, window.claimed), key=lambda name: -window.claimed[name])
    labels = {
        "source": source,
        "seen": str(window.seen),
        "of_records": str(window.records),
        "window_s": str(limit.window_s),
        "samples": " ".join(window.samples),
    }
    if claimed:
        labels["claimed_sources"] = " ".join(claimed)
    if untold:
        labels["seen_since_last_alert"] = str(untold)
    who = "all sources" if source == EVERYBODY else source
    return alert(
        rule.rule,
        f"{rule.name}: {window.seen} of {window.records} records of {who} within {limit.window_s} s",
        at_ms=at_ms,
        dataset="security",
        severity=rule.severity,
        technique=rule.technique,
        labels=labels,
        first_ms=window.first_ms,
        id=hashlib.sha256(f"{rule.id} {source} {limit.window_s} {window.number}".encode()).hexdigest()[:32],
    )
