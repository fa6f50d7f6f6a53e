"""Incidents: alerts of one rule about one subject, and what people did about them. No I/O.

An incident begins with an alert and goes on while its rule tells again before it would stand no longer
(`contracts.alerts.stands_s`). After it was closed the next alert begins another.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from contracts.alerts import SEVERITY_NUMBER, Alert, stands_s
from contracts.incidents import NEXT, IncidentAct, State, Verdict

KEPT_ALERTS = 200
"""Of one incident so many of the newest are kept, beside the first; the count goes on."""

_SUBJECT = ("source", "model", "digest", "origin", "worker", "check")
_SEVERITY = {number: name for name, number in SEVERITY_NUMBER.items()}


@dataclass(frozen=True, slots=True)
class Told:
    """An alert and where its record stands, topic/partition/offset."""

    alert: Alert
    origin: str

    @property
    def at_ms(self) -> int:
        return _ms(self.alert.event.created)

    @property
    def began_ms(self) -> int:
        """When what it tells of began."""
        start = self.alert.event.start
        return min(self.at_ms, _ms(start)) if isinstance(start, str) else self.at_ms


@dataclass(frozen=True, slots=True)
class Done:
    """An act and who signed it; `counts` says whether the state that the incident was in has such an act."""

    act: IncidentAct
    by: str
    counts: bool


@dataclass(slots=True)
class Incident:
    """One incident. `first` is its first alert, `alerts` the newest ones, `told` counts all."""

    id: str
    subject: str
    first: Told
    alerts: list[Told]
    told: int = 1
    done: list[Done] = field(default_factory=list)
    state: State = "open"
    assignee: str = ""
    verdict: Verdict | None = None
    closed_ms: int | None = None

    @property
    def rule(self) -> str:
        return self.first.alert.rule.id

    @property
    def last(self) -> Told:
        return self.alerts[-1]

    @property
    def severity(self) -> str:
        return _SEVERITY.get(max(each.alert.event.severity for each in (self.first, *self.alerts)), "low")

    def is_over(self, now_ms: int) -> bool:
        """Whether what it tells of has ended: its rule says so, or has not told again."""
        return self.last.alert.event.action == "ended" or now_ms > self.last.at_ms + stands_s(self.rule) * 1000

    def do(self, act: IncidentAct, by: str) -> None:
        """Take an act; one that its state does not have is kept, and changes nothing."""
        after = NEXT[self.state].get(act.act)
        self.done.append(Done(act, by, after is not None))
        if after is None:
            return
        self.state = after
        if act.act == "assign":
            self.assignee = act.to
        elif act.act == "close":
            self.verdict, self.closed_ms = act.verdict, act.created_at
        elif act.act == "reopen":
            self.verdict = self.closed_ms = None


def gather(alerts: Iterable[Told], acts: Sequence[tuple[IncidentAct, str]]) -> list[Incident]:
    """Return the incidents that these alerts, oldest first, and acts come to, the newest first.

    Of alerts with one event id, which several workers may tell, the first counts.
    """
    of: dict[str, list[tuple[IncidentAct, str]]] = {}
    for act, by in acts:
        of.setdefault(act.incident, []).append((act, by))
    found: list[Incident] = []
    under_way: dict[tuple[str, str], Incident] = {}
    seen: set[str] = set()
    for told in alerts:
        event_id = told.alert.event.id
        if isinstance(event_id, str):
            if event_id in seen:
                continue
            seen.add(event_id)
        key = (told.alert.rule.id, subject_of(told.alert))
        current = under_way.get(key)
        if current is not None and _goes_on(current, told):
            current.alerts = [*current.alerts[1 - KEPT_ALERTS :], told]
            current.told += 1
        else:
            under_way[key] = current = Incident(_id(*key, told.origin), key[1], told, [told])
            for act, by in of.get(current.id, []):
                current.do(act, by)
            found.append(current)
    return sorted(found, key=lambda each: each.last.at_ms, reverse=True)


def subject_of(alert: Alert) -> str:
    """Return whom an alert is about: a source, a model, what else its labels name first."""
    return next((alert.labels[name] for name in _SUBJECT if alert.labels.get(name)), "")


def _goes_on(incident: Incident, told: Told) -> bool:
    if incident.closed_ms is not None and told.at_ms > incident.closed_ms:
        return False
    ended = incident.last.alert.event.action == "ended"
    return not ended and told.at_ms <= incident.last.at_ms + stands_s(incident.rule) * 1000


def _id(rule: str, subject: str, origin: str) -> str:
    return hashlib.sha256("\0".join((rule, subject, origin)).encode()).hexdigest()[:12]


def _ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
