"""Incidents: alerts of one rule about one subject, and what people did about them. No I/O.

An incident begins with an alert and goes on while its rule tells again before it would stand no longer
(`contracts.alerts.stands_s`). After it was closed the next alert begins another, unless it says that all is over.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from contracts.alerts import SEVERITY_NUMBER, Alert, stands_s
from contracts.incidents import NEXT, IncidentAct, State, Verdict
from contracts.times import LATEST_MS

KEPT_ALERTS = 200
"""Of one incident so many of the newest are kept, beside the first; the count goes on."""

_SUBJECT = ("source", "model", "digest", "origin", "worker", "check")
_SEVERITY = {number: name for name, number in SEVERITY_NUMBER.items()}


Acted = tuple[IncidentAct, str, int]
"""An act, who signed it, and when the broker took it (epoch milliseconds)."""


@dataclass(frozen=True, slots=True)
class Told:
    """An alert and where its record stands, topic/partition/offset; both its times raise `ValueError` where bad."""

    alert: Alert
    origin: str

    @property
    def topic(self) -> str:
        return self.origin.partition("/")[0]

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
    """An act, who signed it and when the broker took it (epoch milliseconds).

    `counts` says whether the state that the incident was in has such an act.
    """

    act: IncidentAct
    by: str
    written_ms: int
    counts: bool


@dataclass(slots=True)
class Incident:
    """One incident. `first` is its first alert, `alerts` the newest ones, `told` counts all."""

    id: str
    subject: str
    first: Told
    alerts: list[Told]
    told: int = 0
    done: list[Done] = field(default_factory=list)
    state: State = "open"
    assignee: str = ""
    verdict: Verdict | None = None
    closings_ms: list[int] = field(default_factory=list)
    gravest: int = 1

    @property
    def rule(self) -> str:
        return self.first.alert.rule.id

    @property
    def last(self) -> Told:
        return self.alerts[-1]

    @property
    def severity(self) -> str:
        return _SEVERITY[self.gravest]

    def is_over(self, now_ms: int) -> bool:
        """Whether what it tells of has ended: its rule says so, or has not told again."""
        return self.last.alert.is_end or now_ms > self.last.at_ms + stands_s(self.rule) * 1000

    def tell(self, told: Told) -> None:
        """Take an alert of it."""
        self.alerts = [*self.alerts[1 - KEPT_ALERTS :], told]
        self.told += 1
        self.gravest = max(self.gravest, min(told.alert.event.severity, max(_SEVERITY)))

    def do(self, act: IncidentAct, by: str, written_ms: int) -> None:
        """Take an act; one that its state does not have is kept, and changes nothing."""
        after = NEXT[self.state].get(act.act)
        self.done.append(Done(act, by, written_ms, after is not None))
        if after is None:
            return
        self.state = after
        if act.act == "assign":
            self.assignee = act.to
        elif act.act == "close":
            self.verdict = act.verdict
            self.closings_ms.append(written_ms)  # for good: what was told later is another incident, reopened or not
        elif act.act == "reopen":
            self.verdict = None


def gather(alerts: Iterable[Told], acts: Sequence[Acted]) -> list[Incident]:
    """Return the incidents that these alerts and acts come to, the newest first; each topic's in their order in Kafka.

    Of alerts with one event id and action, which several workers may tell, the first counts: what begins and what ends
    may have one id.
    """
    of: dict[str, list[Acted]] = {}
    for acted in acts:
        of.setdefault(acted[0].incident, []).append(acted)
    found: list[Incident] = []
    under_way: dict[tuple[str, str], Incident] = {}
    seen: set[tuple[str, bool]] = set()
    for told in alerts:
        event_id, ended = told.alert.event.id, told.alert.is_end
        if isinstance(event_id, str):
            if (event_id, ended) in seen:
                continue
            seen.add((event_id, ended))
        key = (told.alert.rule.id, subject_of(told.alert))
        current = under_way.get(key)
        if ended:
            if current is not None:
                current.tell(told)
        elif current is not None and _goes_on(current, told):
            current.tell(told)
        else:
            under_way[key] = current = Incident(_id(*key, told.origin), key[1], told, [])
            current.tell(told)
            for acted in of.get(current.id, []):
                current.do(*acted)
            found.append(current)
    return sorted(found, key=lambda each: each.last.at_ms, reverse=True)


def is_torn(incident: Incident, kept_since_ms: int, now_ms: int) -> bool:
    """Return whether an incident is the rest of one whose beginning Kafka deleted, and with it what people did.

    `kept_since_ms` is when the oldest alert that Kafka keeps was told. What still goes on, or was acted on under the id
    that it has now, is none.
    """
    begins_there = incident.first.at_ms <= kept_since_ms + stands_s(incident.rule) * 1000
    return begins_there and incident.is_over(now_ms) and not incident.done


def subject_of(alert: Alert) -> str:
    """Return whom an alert is about: a source, a model, what else its labels name first."""
    return next((alert.labels[name] for name in _SUBJECT if alert.labels.get(name)), "")


def _goes_on(incident: Incident, told: Told) -> bool:
    if any(told.at_ms > closed_ms for closed_ms in incident.closings_ms):
        return False
    ended = incident.last.alert.is_end
    return not ended and told.at_ms <= incident.last.at_ms + stands_s(incident.rule) * 1000


def _id(rule: str, subject: str, origin: str) -> str:
    return hashlib.sha256("\0".join((rule, subject, origin)).encode()).hexdigest()[:12]


def _ms(time: str) -> int:
    """Return a time of an alert; raises `ValueError` for one without its zone or outside the years 1970 to 9999."""
    at = datetime.fromisoformat(time)
    ms = round(at.timestamp() * 1000) if at.tzinfo else -1
    if not 0 <= ms <= LATEST_MS:
        raise ValueError("expected a time of the years 1970 to 9999 with its zone")
    return ms
