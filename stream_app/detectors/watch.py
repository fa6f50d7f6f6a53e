"""The one that watches: signals of all partitions in, alerts out. No I/O and no clock but the signals' own times.

`_ALERTS_A_MINUTE` alerts are written at most, beside ends of what was told; how many were not is told with the next.
Silences wait until they may be written.
"""

import hashlib
from collections.abc import Callable, Iterable
from itertools import chain

import msgspec

from contracts.alerts import Alert
from contracts.detection import Signals
from stream_app.detectors.counts import Counts, CountsState
from stream_app.detectors.drift_watch import DriftWatch
from stream_app.detectors.figures import Figures
from stream_app.detectors.lateness import LateSources, LateSourcesState
from stream_app.detectors.poison import PoisonState, PoisonWatch
from stream_app.detectors.quality_watch import QualityWatch
from stream_app.detectors.rates import Rates, RatesState
from stream_app.detectors.rules import Rules
from stream_app.detectors.shares import Shares, SharesState
from stream_app.detectors.windows import OfModel, WindowsState
from stream_app.model_slot import LoadedModel

_ALERTS_A_MINUTE = 30


class WatchState(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that a watch remembers. `rules` is the digest of those that it watches by."""

    rules: str
    minute: int
    written: int
    unwritten: int
    counts: CountsState
    shares: SharesState
    late: LateSourcesState
    rates: RatesState
    drift: OfModel[WindowsState] | None
    quality: OfModel[WindowsState] | None
    poison: OfModel[PoisonState] | None


class Watch:
    """Says when a rule fires, or when what the `champion` scores, or the outcomes of it, are unlike its reference.

    `false_alarm_days` is the mean time between two false alarms of drift, quality and poisoned outcomes together.

    >>> from contracts.detection import SourceSignals
    >>> from stream_app.detectors.rules import load_rules
    >>> watch = Watch(load_rules(), lambda: None, 30)
    >>> seen = {"icu/bed-4": SourceSignals({"repeated": 30, "scored": 10}, {"repeated": ["5e0…"]})}
    >>> [(found.rule.id, found.labels["source"]) for found in watch.see(Signals(1_790_000_000_000, seen))]
    [('replayed-events', 'icu/bed-4')]
    """

    def __init__(self, rules: Rules, champion: Callable[[], LoadedModel | None], false_alarm_days: float) -> None:
        self._rules = hashlib.sha256(msgspec.msgpack.encode(rules)).hexdigest()
        self._counts = Counts(rules.count)
        self._shares = Shares(rules.share)
        self._late = LateSources(rules.late)
        self._rates = Rates(rules.flood, rules.silence)
        self._drift = DriftWatch(rules.drift, champion, false_alarm_days)
        self._quality = QualityWatch(rules.quality, champion, false_alarm_days)
        self._poison = PoisonWatch(rules.poison, champion, false_alarm_days)
        statistical = (self._drift, self._quality, self._poison)
        self._detectors = (self._counts, self._shares, self._late, *statistical)
        self._minute = -1
        self._written = 0
        self._unwritten = 0

    def __len__(self) -> int:
        """How many counts, shares and sources are kept."""
        return len(self._counts) + len(self._shares) + len(self._late) + len(self._rates) + len(self._poison)

    @property
    def state(self) -> WatchState:
        """What another of the same rules needs to go on where this one is; to be encoded before more is seen."""
        return WatchState(
            rules=self._rules,
            minute=self._minute,
            written=self._written,
            unwritten=self._unwritten,
            counts=self._counts.state,
            shares=self._shares.state,
            late=self._late.state,
            rates=self._rates.state,
            drift=self._drift.state,
            quality=self._quality.state,
            poison=self._poison.state,
        )

    def restore(self, state: WatchState) -> bool:
        """Go on from the state of another, which must not be used elsewhere; return False if its rules were others."""
        if state.rules != self._rules:
            return False
        self._minute, self._written, self._unwritten = state.minute, state.written, state.unwritten
        self._counts.restore(state.counts)
        self._shares.restore(state.shares)
        self._late.restore(state.late)
        self._rates.restore(state.rates)
        self._drift.restore(state.drift)
        self._quality.restore(state.quality)
        self._poison.restore(state.poison)
        return True

    def figures(self) -> Figures:
        """Return what the champion's last events and outcomes come to. For any thread."""
        drift = self._drift.figures()
        quality = self._quality.figures()
        return Figures(*((drift[0], quality, drift[1]) if drift else (None, quality, None)))

    def see(self, signals: Signals) -> list[Alert]:
        """Take the signals of a batch; return the alerts that they come to."""
        minute = signals.at // 60_000
        if minute > self._minute:
            self._minute, self._written = minute, 0
        alerts = self._write(chain.from_iterable(detector.see(signals) for detector in self._detectors))
        return alerts + self._write(self._rates.see(signals, _ALERTS_A_MINUTE - self._written))

    def _write(self, found: Iterable[Alert]) -> list[Alert]:
        """Return those of the alerts that are to be written. An end is: without it what was told would stand on."""
        alerts: list[Alert] = []
        for each in found:
            if not each.is_end:
                if self._written >= _ALERTS_A_MINUTE:
                    self._unwritten += 1
                    continue
                self._written += 1
                if self._unwritten:
                    each.labels["alerts_not_written_before"] = str(self._unwritten)
                    self._unwritten = 0
            alerts.append(each)
        return alerts
