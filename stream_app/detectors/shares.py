"""How often a signal comes among another, against how often it used to: what rises a little, and stays.

A sequential test (Page, Continuous Inspection Schemes, Biometrika 41, 1954): each second adds the log of how much
likelier its counts are if the signal came `factor` times as often as usual, as Poisson counts; the sum never falls
below 0, and is told once it passes the rule's `evidence`. It is kept for each source, and for all together as the sum
over the sources, each against its own usual share: another mixture of sources changes nothing.

Usual is what came before the sum began to rise: while it is above 0 what comes is set aside, and counts for usual once
the sum has come back, or was told. `MAX_SHARES` are kept, those that moved last.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

import msgspec

from contracts.alerts import Alert, alert
from contracts.detection import MAX_SAMPLES, Amount, Moment, Number, Samples, Signals, SourceName
from stream_app.detectors.counts import EVERYBODY, QUIET_S
from stream_app.detectors.rules import ShareRule

MAX_SHARES = 5_000
_LONGEST = 300_000  # events of a source that "usual" looks back over; then both counts are halved


class Share(msgspec.Struct, array_like=True):
    """Of a source: counts of the second under way, those that usual follows from, those set aside, and the sum.

    `risen` and `samples` are what made the sum rise since `since_ms`: how often seen, of how many, how often expected.
    """

    now_seen: Number = 0
    now_of: Number = 0
    seen: Amount = 0.0
    of: Amount = 0.0
    aside_seen: Number = 0
    aside_of: Number = 0
    sum: Amount = 0.0
    since_ms: Moment = 0
    risen: tuple[Number, Number, Amount] = (0, 0, 0.0)
    samples: Samples = []
    told_ms: Moment | None = None
    untold: Number = 0

    @property
    def usual(self) -> float:
        """The share that is usual, by a standard deviation more than was counted: what is known of few is uncertain."""
        return (self.seen + 1 + math.sqrt(self.seen + 1)) / max(self.of, 1.0)

    def add(self, log_ratio: float, seen: int, of: int, expected: float, at_ms: int) -> None:
        """Add to the sum."""
        if self.sum == 0:
            self.since_ms = at_ms
        self.sum = max(0.0, self.sum + log_ratio)
        if self.sum == 0:
            self.begin()
        else:
            self.risen = (self.risen[0] + seen, self.risen[1] + of, self.risen[2] + expected)

    def begin(self) -> None:
        """Let the sum begin anew."""
        self.sum, self.risen, self.samples = 0.0, (0, 0, 0.0), []

    def set_aside(self) -> None:
        """End the second under way."""
        self.aside_seen, self.aside_of = self.aside_seen + self.now_seen, self.aside_of + self.now_of
        self.now_seen = self.now_of = 0

    def learn(self) -> None:
        """Let what was set aside count for usual."""
        self.seen, self.of = self.seen + self.aside_seen, self.of + self.aside_of
        self.aside_seen = self.aside_of = 0
        if self.of > _LONGEST:
            self.seen, self.of = self.seen / 2, self.of / 2


class SharesState(msgspec.Struct, frozen=True, array_like=True):
    """What is to be remembered: model, second under way, and (rule's id, source, share), the last that moved last."""

    digest: str = ""
    second: int = -1
    shares: list[tuple[str, SourceName, Share]] = []


class Shares:
    """Learns usual shares and says when one has risen."""

    def __init__(self, rules: Sequence[ShareRule]) -> None:
        self._rules = rules
        self._digest = ""
        self._second = -1
        self._shares: OrderedDict[tuple[str, str], Share] = OrderedDict()
        self._moved: dict[tuple[str, str], Share] = {}  # in the second under way

    def __len__(self) -> int:
        return len(self._shares)

    @property
    def state(self) -> SharesState:
        shares = [(rule, source, share) for (rule, source), share in self._shares.items()]
        return SharesState(self._digest, self._second, shares)

    def restore(self, state: SharesState) -> None:
        """Go on from the state of another."""
        self._digest, self._second = state.digest, state.second
        kept = islice(state.shares, MAX_SHARES)
        self._shares = OrderedDict(((rule, source), share) for rule, source, share in kept)
        self._moved = {place: share for place, share in self._shares.items() if share.now_of}

    def see(self, signals: Signals) -> list[Alert]:
        """Take the signals of a batch; return the alerts that the second before them comes to."""
        alerts: list[Alert] = []
        second = signals.at // 1000
        if second > self._second:
            for rule in self._rules:
                moved = {source: share for (id, source), share in self._moved.items() if id == rule.id}
                if moved:
                    alerts += self._weigh(rule, moved, signals.at)
            self._moved.clear()
            self._second = second
        if signals.part is not None and signals.part.digest != self._digest:
            self._digest = signals.part.digest
            self._shares.clear()  # another model scores otherwise: nothing is usual yet
            self._moved.clear()
        for rule in self._rules:
            for source, counted in signals.sources.items():
                of = counted.counts.get(rule.of)
                if not of or not source:
                    continue
                share = self._moved.get((rule.id, source))
                if share is None:
                    share = self._moved[rule.id, source] = self._share(rule.id, source)
                share.now_of += of
                seen = counted.counts.get(rule.signal)
                if seen:
                    share.now_seen += seen
                    share.samples = [*share.samples, *counted.samples.get(rule.signal, [])][-MAX_SAMPLES:]
        return alerts

    def _weigh(self, rule: ShareRule, moved: dict[str, Share], at_ms: int) -> list[Alert]:
        """End a second; return what it comes to."""
        everybody = self._share(rule.id, EVERYBODY)
        ratios = expected_of_all = 0.0
        for share in moved.values():
            if share.of >= rule.least:
                expected = share.now_of * share.usual
                ratio = share.now_seen * math.log(rule.factor) - expected * (rule.factor - 1)
                share.add(ratio, share.now_seen, share.now_of, expected, at_ms)
                everybody.now_seen += share.now_seen
                everybody.now_of += share.now_of
                ratios, expected_of_all = ratios + ratio, expected_of_all + expected
        if everybody.now_of:
            everybody.add(ratios, everybody.now_seen, everybody.now_of, expected_of_all, at_ms)
            everybody.now_seen = everybody.now_of = 0
        alerts = [
            found
            for source, share in (*moved.items(), (EVERYBODY, everybody))
            if share.sum >= rule.evidence and (found := self._told(rule, source, share, everybody, at_ms))
        ]
        for share in moved.values():
            share.set_aside()
            if share.sum == 0 and everybody.sum == 0:
                share.learn()
        return alerts

    def _share(self, rule: str, source: str) -> Share:
        share = self._shares.get((rule, source))
        if share is None:
            share = self._shares[rule, source] = Share()
            if len(self._shares) > MAX_SHARES:
                oldest, _ = self._shares.popitem(last=False)
                self._moved.pop(oldest, None)
        self._shares.move_to_end((rule, source))
        return share

    def _told(self, rule: ShareRule, source: str, share: Share, everybody: Share, at_ms: int) -> Alert | None:
        """Begin anew, of the source and of all; return the alert unless one was told just now."""
        found: Alert | None = None
        if share.told_ms is None or at_ms - share.told_ms >= QUIET_S * 1000:
            rising = {name: each for (id, name), each in self._shares.items() if id == rule.id and each.sum > 0}
            rising.pop(EVERYBODY, None)
            most = dict(sorted(rising.items(), key=lambda of: -of[1].sum)[:MAX_SAMPLES])
            found = _alert(rule, source, share, most if source == EVERYBODY else {source: share}, at_ms)
            share.told_ms, share.untold = at_ms, 0
        else:
            share.untold += 1
        share.begin()
        everybody.begin()
        return found


def _alert(rule: ShareRule, source: str, share: Share, rising: dict[str, Share], at_ms: int) -> Alert:
    seen, of, expected = share.risen
    samples = [sample for each in rising.values() for sample in reversed(each.samples)]
    labels = {
        "source": source,
        "seen": str(seen),
        "of": str(of),
        "usual": f"{expected:.1f}",
        "odds": f"{math.exp(min(share.sum, 700.0)):.2g}",
        "samples": " ".join(samples[:MAX_SAMPLES]),
    }
    if source == EVERYBODY:
        labels["rising_sources"] = " ".join(rising)
    if share.untold:
        labels["alarms_since_last_alert"] = str(share.untold)
    who = "all sources" if source == EVERYBODY else source
    return alert(
        rule.rule,
        f"{rule.name}: {seen} of {of} of {who}, usually {expected:.0f}",
        at_ms=at_ms,
        dataset="security",
        severity=rule.severity,
        technique=rule.technique,
        labels={name: value for name, value in labels.items() if value},
        first_ms=share.since_ms,
        id=hashlib.sha256(f"{rule.id} {source} {share.since_ms}".encode()).hexdigest()[:32],
    )
