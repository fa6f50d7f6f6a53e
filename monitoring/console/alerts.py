"""The alerts of the last day, the newest first: what the page shows of each.

Whoever may write to an alert topic chooses what stands in one, so every text has a length and every list an end. The
page shows texts as texts; nothing here is markup.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from contracts.alerts import Alert, Severity
from contracts.codec import decoder

DAY_MS = 86_400_000
MOST = 200
_TEXT, _LABELS = 1000, 60

_SEVERITY: Mapping[int, Severity] = {1: "low", 2: "medium", 3: "high", 4: "critical"}


class ShownAlert(msgspec.Struct, frozen=True):
    """One alert, or several of one id: `times` says how many began, and the newest speaks for them.

    `key` names it on the page; times are epoch milliseconds, `at` by Kafka. `ended`: it says that one is over.
    """

    key: str
    at: int
    dataset: Literal["security", "model"]
    severity: Severity | Literal["unknown"]
    rule: str
    name: str
    message: str
    technique: tuple[str, str] | None
    start: int | None
    labels: dict[str, str]
    ended: bool
    times: int = 1


class Alerts:
    """What came in the last day, `MOST` at most."""

    def __init__(self) -> None:
        self._decode = decoder(Alert)
        self._shown: OrderedDict[str, ShownAlert] = OrderedDict()  # oldest first
        self.unreadable = 0

    def take(
        self, place: str, value: bytes, *, dataset: Literal["security", "model"], at_ms: int, now_ms: int
    ) -> ShownAlert | None:
        """Take a record that stands at `place`; return what to show, None for what is no alert or too old."""
        try:
            alert = self._decode(value)
        except (ValueError, RecursionError):
            self.unreadable += 1
            return None
        if at_ms < now_ms - DAY_MS:
            return None
        key = place if isinstance(alert.event.id, msgspec.UnsetType) else _cut(alert.event.id)
        before = self._shown.pop(key, None)
        ended = alert.is_end
        technique = alert.threat.technique if alert.threat else None
        shown = ShownAlert(
            key,
            at_ms,
            dataset,
            _SEVERITY.get(alert.event.severity, "unknown"),
            _cut(alert.rule.id),
            _cut(alert.rule.name),
            _cut(alert.message),
            (_cut(technique.id[0]), _cut(technique.name[0])) if technique and technique.id and technique.name else None,
            _time(alert.event.start),
            {_cut(name): _cut(text) for name, text in list(alert.labels.items())[:_LABELS]},
            ended,
            before.times + (not ended) if before else 1,
        )
        self._shown[key] = shown
        if len(self._shown) > MOST:
            self._shown.popitem(last=False)
        return shown

    def recent(self, now_ms: int) -> list[ShownAlert]:
        """Return those of the last day, the newest first."""
        found = (shown for shown in reversed(self._shown.values()) if shown.at >= now_ms - DAY_MS)
        return sorted(found, key=lambda shown: -shown.at)

    def counts(self, now_ms: int) -> dict[str, int]:
        """Return how many there are of each severity in the last day, without what only says that one is over."""
        found: dict[str, int] = {}
        for shown in (each for each in self.recent(now_ms) if not each.ended):
            found[shown.severity] = found.get(shown.severity, 0) + 1
        return found


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else text[:_TEXT] + "…"


def _time(text: str | msgspec.UnsetType) -> int | None:
    try:
        return None if isinstance(text, msgspec.UnsetType) else round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
