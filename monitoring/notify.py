"""Alerts of the topics as Alertmanager takes them: which ones stand, since when, until when. No I/O and no clock.

One that is told again stays the same alert: its labels say which it is. It stands until its rule says that it ended, or
is not told again for `stands_s` of its rule. https://prometheus.io/docs/alerting/latest/clients/
"""

import tomllib
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib.resources import files
from urllib.parse import quote

import msgspec

from contracts.alerts import SEVERITY_NUMBER, Alert, Severity, stands_s
from contracts.codec import decoder
from contracts.times import time_text

MAX_OPEN = 5_000
"""Beyond them one that Alertmanager took is forgotten here: what is over, then what is least grave and was told longest
ago. Alertmanager keeps it until it ends."""

LINGER_MS = 300_000
"""So long the end of an alert is said again: a second Alertmanager may have been away."""

_LABELS = ("source", "model", "worker", "digest", "origin", "what", "check", "finding", "where")
_MAX_VALUE = 200
_MAX_TEXT = 1000
_SEVERITY: dict[int, Severity] = {number: name for name, number in SEVERITY_NUMBER.items()}

_decode: Callable[[bytes], Alert] = decoder(Alert)


class Links(msgspec.Struct, frozen=True):
    """Where a page leads: `runbooks` goes before a rule's reference, `{event_id}` in `alert_page` is the alert's id."""

    runbooks: str = ""
    alert_page: str = ""


class Posted(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An alert of Alertmanager's API v2."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    generator_url: str = msgspec.field(default="", name="generatorURL")


class _Open(msgspec.Struct):
    """An alert that stands, or stood until lately; `taken_ms` is when Alertmanager took it last, 0 before."""

    labels: dict[str, str]
    severity: Severity
    annotations: dict[str, str]
    event_id: str
    stands_ms: int
    starts_ms: int
    until_ms: int
    count: int = 1
    ended: bool = False
    taken_ms: int = 0


class OpenAlerts:
    """The alerts of one topic that stand. `service` is the label that tells this system's from others'."""

    def __init__(self, service: str, links: Links) -> None:
        self._service, self._links = service, links
        self._open: dict[tuple[tuple[str, str], ...], _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another until Alertmanager takes what it has not had."""
        return len(self._open) >= MAX_OPEN and not any(each.taken_ms for each in self._open.values())

    def take(self, value: bytes, now_ms: int, *, taken: bool = False) -> str:
        """Take a record of the topic; `taken` says that Alertmanager had it before. Return its rule's id.

        Times of the record that lie in the future count as now. Raises `ValueError` for what is no alert of ours.
        """
        try:
            told = _decode(value)
            severity = _SEVERITY[told.event.severity]
            at_ms = min(_ms(told.event.created), now_ms)
            starts_ms = at_ms if told.event.start is msgspec.UNSET else min(_ms(told.event.start), at_ms)
        except (ValueError, KeyError, RecursionError):
            raise ValueError("expected an alert as an ECS document") from None
        labels = {"alertname": told.rule.id, "severity": severity, "service": self._service}
        if told.threat:
            labels["technique"] = " ".join(told.threat.technique.id)
        labels |= {name: told.labels[name] for name in _LABELS if told.labels.get(name)}
        labels = {name: text[:_MAX_VALUE] for name, text in labels.items()}
        event_id = "" if told.event.id is msgspec.UNSET else told.event.id[:_MAX_VALUE]
        now = _Open(
            labels,
            severity,
            _annotations(told, self._links, event_id),
            event_id,
            stands_s(told.rule.id) * 1000,
            starts_ms,
            at_ms + stands_s(told.rule.id) * 1000,
            taken_ms=now_ms if taken else 0,
        )
        key = tuple(labels.items())
        before = self._open.pop(key, None)
        if before and (at_ms <= before.until_ms or not before.taken_ms) and not before.ended:
            now.starts_ms = min(before.starts_ms, starts_ms)
            now.until_ms = max(before.until_ms, now.until_ms)
            now.count = before.count + 1
            now.taken_ms = before.taken_ms
        if told.is_end:
            now.until_ms, now.ended = at_ms, True
            now.count = max(1, now.count - 1)
        self._open[key] = now
        if len(self._open) > MAX_OPEN:
            self._forget()
        return told.rule.id

    def _forget(self) -> None:
        """Make room, but forget none that Alertmanager has not had: nobody would hear of it."""
        taken = {key: each for key, each in self._open.items() if each.taken_ms}
        over = [key for key, each in taken.items() if each.taken_ms >= each.until_ms]
        least_grave = min(taken, key=lambda key: SEVERITY_NUMBER[taken[key].severity], default=None)
        for key in over or ([least_grave] if least_grave else []):
            del self._open[key]

    def posted(self, now_ms: int) -> list[Posted]:
        """Return what is to be posted now; what Alertmanager has not yet had stands from now on, however late it is."""
        for key, each in list(self._open.items()):
            if not each.taken_ms and not each.ended:
                each.until_ms = max(each.until_ms, now_ms + each.stands_ms)
            if each.taken_ms >= each.until_ms and now_ms > each.until_ms + LINGER_MS:
                del self._open[key]
        return [self._post(each) for each in self._open.values()]

    def were_taken(self, now_ms: int) -> None:
        """Note that Alertmanager has taken what `posted` returned at that time."""
        for each in self._open.values():
            each.taken_ms = now_ms

    def _post(self, each: _Open) -> Posted:
        return Posted(
            each.labels,
            {**each.annotations, "count": str(each.count)},
            time_text(each.starts_ms),
            time_text(each.until_ms),
            self._links.alert_page.replace("{event_id}", quote(each.event_id, safe="")),
        )


def watchdog(service: str, now_ms: int, for_ms: int) -> Posted:
    """Return the alert that stands while all is well, for `for_ms` from now."""
    said = "CardioSentry watches. When this alert is missing, it does not: docs/notifications.md"
    labels = {"alertname": "Watchdog", "severity": "none", "service": service}
    return Posted(labels, {"summary": said}, time_text(now_ms), time_text(now_ms + for_ms))


@cache
def _advice() -> dict[str, str]:
    return tomllib.loads(files(__package__).joinpath("advice.toml").read_text("utf-8"))


def _annotations(told: Alert, links: Links, event_id: str) -> dict[str, str]:
    every = {
        "summary": told.message[:_MAX_TEXT],
        "do": _advice().get(told.rule.id, ""),
        "runbook": (links.runbooks + told.rule.reference)[:_MAX_TEXT],
        "event_id": event_id,
    }
    return {name: text for name, text in every.items() if text}


def _ms(time: str) -> int:
    at = datetime.fromisoformat(time)
    if at.tzinfo is None:
        raise ValueError("expected a time with its zone")
    return max(0, round(at.timestamp() * 1000))
