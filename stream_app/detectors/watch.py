"""The one that watches: signals of all partitions in, alerts out. No I/O and no clock but the signals' own times.

`_ALERTS_A_MINUTE` alerts are written at most; how many were not is told with the next.
"""

from collections.abc import Callable

from contracts.alerts import Alert
from contracts.detection import Signals
from stream_app.detectors.counts import Counts
from stream_app.detectors.drift_watch import DriftWatch
from stream_app.detectors.rates import Rates
from stream_app.detectors.rules import Rules
from stream_app.model_slot import LoadedModel

_ALERTS_A_MINUTE = 30


class Watch:
    """Says when a rule fires, or when what the `champion` scores is unlike its reference.

    `false_alarm_days` is the mean time between two false alarms of drift.

    >>> from contracts.detection import SourceSignals
    >>> from stream_app.detectors.rules import load_rules
    >>> watch = Watch(load_rules(), lambda: None, 30)
    >>> seen = {"icu/bed-4": SourceSignals({"repeated": 30, "scored": 10}, {"repeated": ["5e0…"]})}
    >>> [(found.rule.id, found.labels["source"]) for found in watch.see(Signals(1_790_000_000_000, seen))]
    [('replayed-events', 'icu/bed-4')]
    """

    def __init__(self, rules: Rules, champion: Callable[[], LoadedModel | None], false_alarm_days: float) -> None:
        self._counts = Counts(rules.count)
        self._rates = Rates(rules.flood, rules.silence)
        self._drift = DriftWatch(rules.drift, champion, false_alarm_days)
        self._minute = -1
        self._written = 0
        self._unwritten = 0

    def __len__(self) -> int:
        """How many counts and rates are kept."""
        return len(self._counts) + len(self._rates)

    def see(self, signals: Signals) -> list[Alert]:
        """Take the signals of a batch; return the alerts that they come to."""
        minute = signals.at // 60_000
        if minute > self._minute:
            self._minute, self._written = minute, 0
        alerts: list[Alert] = []
        for found in (*self._counts.see(signals), *self._rates.see(signals), *self._drift.see(signals)):
            if self._written >= _ALERTS_A_MINUTE:
                self._unwritten += 1
                continue
            self._written += 1
            if self._unwritten:
                found.labels["alerts_not_written_before"] = str(self._unwritten)
                self._unwritten = 0
            alerts.append(found)
        return alerts
