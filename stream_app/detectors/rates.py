"""How fast each source sends, against how fast it used to: floods and silence.

A source's usual rate is an exponentially weighted mean over windows of `_WINDOW_S`, known after `_WINDOWS` of them;
what is far above counts for no more than double, so that a flood does not become usual before it is told. While it
lasts it is told again every `QUIET_S`, against what was usual before it; what lasts for `_FLOOD_S` is usual then.
`MAX_SOURCES` are known, those that sent last. Times are those of the signals: if nothing comes from anybody, nothing
is told; that is for the lag and rate metrics.
"""

import hashlib
from collections import OrderedDict
from itertools import islice

import msgspec

from contracts.alerts import Alert, alert, stands_s
from contracts.detection import Amount, Moment, Number, Signals, SourceName
from stream_app.detectors.counts import QUIET_S
from stream_app.detectors.rules import FloodRule, SilenceRule

_WINDOW_S = 10
_WINDOWS = 12
_FLOOD_S = 86_400
_WEIGHT = 0.1  # of the newest window: the mean looks back about 100 s
MAX_SOURCES = 10_000


class Rate(msgspec.Struct, array_like=True):
    """Of one source: events of the window under way, the mean of those before, and how many these are.

    `told_flood_ms` is when a flood was told last, `flood_ms` when it was first, `before` what was usual then.
    """

    window: int
    seen: Number = 0
    usual: Amount = 0.0
    windows: Number = 0
    last_ms: Moment = 0
    told_flood_ms: Moment | None = None
    silent: bool = False
    flood_ms: Moment = 0
    before: Amount = 0.0

    def close(self, window: int) -> None:
        """Take the windows before `window` into the mean; those without an event count as none."""
        for closed in range(self.window, min(window, self.window + 10 * _WINDOWS)):
            count = float(self.seen) if closed == self.window else 0.0
            if self.windows >= _WINDOWS:
                count = min(count, 2 * self.usual + 10)
            self.windows += 1
            self.usual += max(_WEIGHT, 1 / self.windows) * (count - self.usual)
        self.window, self.seen = window, 0


class RatesState(msgspec.Struct, frozen=True, array_like=True):
    """What is to be remembered: the window under way, and each source's rate, the last that sent last."""

    window: int = -1
    rates: list[tuple[SourceName, Rate]] = []


class Rates:
    """Learns each source's usual rate and says when one floods or falls silent."""

    def __init__(self, flood: FloodRule, silence: SilenceRule) -> None:
        self._flood, self._silence = flood, silence
        self._rates: OrderedDict[str, Rate] = OrderedDict()
        self._window = -1

    def __len__(self) -> int:
        return len(self._rates)

    @property
    def state(self) -> RatesState:
        return RatesState(self._window, list(self._rates.items()))

    def restore(self, state: RatesState) -> None:
        """Go on from the state of another."""
        self._window = state.window
        self._rates = OrderedDict(islice(state.rates, MAX_SOURCES))

    def see(self, signals: Signals, room: int = MAX_SOURCES) -> list[Alert]:
        """Take the signals of a batch; return the alerts that they come to.

        Of silences no more than there is `room` for among them: one is told once, so the others wait for a window with
        room, as long as they last.
        """
        window = signals.at // (_WINDOW_S * 1000)
        alerts: list[Alert] = []
        for source, of in signals.sources.items():
            count = of.counts.get("scored", 0) + of.counts.get("repeated", 0)
            if count and source:
                alerts += self._sent(source, count, window, signals.at)
        if window > self._window:
            self._window = window
            alerts += self._missed(signals.at, room - sum(not found.is_end for found in alerts))
        return alerts

    def _sent(self, source: str, count: int, window: int, at_ms: int) -> list[Alert]:
        rate = self._rates.get(source)
        if rate is None:
            rate = self._rates[source] = Rate(window)
            if len(self._rates) > MAX_SOURCES:
                self._rates.popitem(last=False)
        self._rates.move_to_end(source)
        alerts: list[Alert] = []
        if rate.silent:  # the time without events was no one's rate
            rate.window, rate.seen, rate.silent = window, 0, False
            said = f"{source} sends again, after {(at_ms - rate.last_ms) / 1000:.0f} s"
            alerts.append(
                _alert(self._silence, source, said, at_ms, rate.last_ms, _labels(source, rate.usual), ended=True)
            )
        if window > rate.window:
            rate.close(window)
        rate.seen += count
        rate.last_ms = max(rate.last_ms, at_ms)
        since_told_ms = None if rate.told_flood_ms is None else at_ms - rate.told_flood_ms
        # As long as the last alert stands: what begins within it is the same flood.
        lasts = since_told_ms is not None and since_told_ms < stands_s(self._flood.id) * 1000
        lasts = lasts and at_ms - rate.flood_ms < _FLOOD_S * 1000
        usual = rate.before if lasts else rate.usual
        flooded = rate.windows >= _WINDOWS and rate.seen >= max(self._flood.least, self._flood.factor * usual)
        quiet = since_told_ms is not None and since_told_ms < QUIET_S * 1000
        if not flooded or quiet:
            return alerts
        if not lasts:
            rate.flood_ms, rate.before = at_ms, usual
        rate.told_flood_ms = at_ms
        labels = _labels(source, usual) | {"seen": str(rate.seen)}
        said = f"{rate.seen} events of {source} within {_WINDOW_S} s, usually {usual:.0f}"
        return [*alerts, _alert(self._flood, source, said, at_ms, window * _WINDOW_S * 1000, labels)]

    def _missed(self, at_ms: int, room: int) -> list[Alert]:
        """Say which sources have fallen silent, those that sent last the longest ago first."""
        alerts: list[Alert] = []
        for source, rate in self._rates.items():
            if len(alerts) >= room:
                break
            silent_s = (at_ms - rate.last_ms) / 1000
            missed = rate.usual * silent_s / _WINDOW_S
            if rate.silent or rate.windows < _WINDOWS or silent_s < self._silence.least_s:
                continue
            if missed >= self._silence.missed:
                rate.silent = True
                labels = _labels(source, rate.usual) | {"missed": f"{missed:.0f}"}
                said = f"no event of {source} for {silent_s:.0f} s, usually {rate.usual:.1f} in {_WINDOW_S} s"
                alerts.append(_alert(self._silence, source, said, at_ms, rate.last_ms, labels))
        return alerts


def _labels(source: str, usual: float) -> dict[str, str]:
    return {"source": source, "usual": f"{usual:.1f}", "window_s": str(_WINDOW_S)}


def _alert(
    rule: FloodRule | SilenceRule,
    source: str,
    said: str,
    at_ms: int,
    first_ms: int,
    labels: dict[str, str],
    *,
    ended: bool = False,
) -> Alert:
    return alert(
        rule.rule,
        f"{rule.name}: {said}",
        at_ms=at_ms,
        dataset="security",
        severity=rule.severity,
        technique=rule.technique,
        labels=labels,
        first_ms=first_ms,
        id=hashlib.sha256(f"{rule.id} {source} {first_ms}".encode()).hexdigest()[:32],
        ended=ended,
    )
