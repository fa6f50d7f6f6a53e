"""Sources whose events come late while the others' do not: a clock that fell behind, or times that were changed.

What is late is the signal's to say. Minutes follow each other by the signals' times; of each one in which a source sent
anything it is asked whether most of it was late. If the others' events are late too, it is the stream that is behind,
and the minute says nothing. A source that has always been late sends what it keeps, by its nature: only one that was in
time before is told, and again every `QUIET_S` while it is late. `MAX_SOURCES` are known, those that sent last.
"""

import hashlib
from collections import OrderedDict
from itertools import islice

import msgspec

from contracts.alerts import Alert, alert
from contracts.detection import MAX_SAMPLES, Moment, Number, Samples, Signals, SourceName
from stream_app.detectors.counts import QUIET_S
from stream_app.detectors.rules import LateRule

MAX_SOURCES = 5_000
_MINUTE_MS = 60_000


class Lateness(msgspec.Struct, array_like=True):
    """Of a source: its minute under way, its events in time before, and the run of late minutes."""

    late: Number = 0
    scored: Number = 0
    in_time: Number = 0
    run: Number = 0
    run_late: Number = 0
    run_scored: Number = 0
    since_ms: Moment = 0
    samples: Samples = []
    told_ms: Moment | None = None


class LateSourcesState(msgspec.Struct, frozen=True, array_like=True):
    """What is to be remembered: the minute under way, and each source, the last that sent last."""

    minute: int = -1
    sources: list[tuple[SourceName, Lateness]] = []


class LateSources:
    """Says which source's clock fell behind."""

    def __init__(self, rule: LateRule) -> None:
        self._rule = rule
        self._minute = -1
        self._sources: OrderedDict[str, Lateness] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def state(self) -> LateSourcesState:
        return LateSourcesState(self._minute, list(self._sources.items()))

    def restore(self, state: LateSourcesState) -> None:
        """Go on from the state of another."""
        self._minute = state.minute
        self._sources = OrderedDict(islice(state.sources, MAX_SOURCES))

    def see(self, signals: Signals) -> list[Alert]:
        """Take the signals of a batch; return the alerts that they come to."""
        minute = signals.at // _MINUTE_MS
        alerts: list[Alert] = []
        if minute > self._minute:
            alerts = self._close(signals.at)
            self._minute = minute
        for source, of in signals.sources.items():
            scored = of.counts.get("scored", 0)
            if source and scored:
                lateness = self._sources.setdefault(source, Lateness())
                lateness.scored += scored
                lateness.late += of.counts.get("late", 0)
                lateness.samples = [*lateness.samples, *of.samples.get("late", [])][-MAX_SAMPLES:]
                self._sources.move_to_end(source)
        while len(self._sources) > MAX_SOURCES:
            self._sources.popitem(last=False)
        return alerts

    def _close(self, at_ms: int) -> list[Alert]:
        """End a minute; return what its late sources come to."""
        late = sum(each.late for each in self._sources.values())
        scored = sum(each.scored for each in self._sources.values())
        alerts: list[Alert] = []
        for source, each in self._sources.items():
            others = scored - each.scored
            the_stream_is_in_time = others and late - each.late <= self._rule.others * others
            if each.scored and the_stream_is_in_time and (found := self._judge(source, each, at_ms)):
                alerts.append(found)
            each.late = each.scored = 0
        return alerts

    def _judge(self, source: str, each: Lateness, at_ms: int) -> Alert | None:
        if each.late < self._rule.share * each.scored:
            each.in_time = each.scored - each.late + (0 if each.run else each.in_time)
            each.run = each.run_late = each.run_scored = 0
            each.told_ms = None
            return None
        if not each.run:
            each.since_ms = self._minute * _MINUTE_MS
        each.run += 1
        each.run_late += each.late
        each.run_scored += each.scored
        enough = each.run >= self._rule.minutes and each.run_late >= self._rule.count
        quiet = each.told_ms is not None and at_ms - each.told_ms < QUIET_S * 1000
        if quiet or each.in_time < self._rule.count or not enough:
            return None
        each.told_ms = at_ms
        return _alert(self._rule, source, each, at_ms)


def _alert(rule: LateRule, source: str, each: Lateness, at_ms: int) -> Alert:
    labels = {
        "source": source,
        "seen": str(each.run_late),
        "of_records": str(each.run_scored),
        "minutes": str(each.run),
        "samples": " ".join(each.samples),
    }
    return alert(
        rule.rule,
        f"{rule.name}: {each.run_late} of {each.run_scored} events of {source} in {each.run} minutes",
        at_ms=at_ms,
        dataset="security",
        severity=rule.severity,
        technique=rule.technique,
        labels=labels,
        first_ms=each.since_ms,
        id=hashlib.sha256(f"{rule.id} {source} {each.since_ms} {each.run}".encode()).hexdigest()[:32],
    )
