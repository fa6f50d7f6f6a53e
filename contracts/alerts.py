"""An alert is an ECS document, so that Kibana, Elastic Security and any SIEM read it without translation.

The minimal form that detectors fill. Fields and allowed values: Elastic Common Schema 9,
https://www.elastic.co/docs/reference/ecs; the technique is of MITRE ATLAS, https://atlas.mitre.org.
"""

from typing import Literal

import msgspec

from contracts.times import time_text

ECS_VERSION = "9.0.0"

Severity = Literal["low", "medium", "high", "critical"]

# Elastic Security's own scale: a rule's severity and the middle of its risk-score band.
RISK_SCORE: dict[Severity, int] = {"low": 21, "medium": 47, "high": 73, "critical": 99}
SEVERITY_NUMBER: dict[Severity, int] = {"low": 1, "medium": 2, "high": 3, "critical": 4}

# ECS allows each category its own types: "indicator" goes with "threat" alone.
_CATEGORY = {"security": (("threat",), ("indicator",)), "model": (("process",), ("info",))}

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 24 * 3600

_STANDS_S = {
    **dict.fromkeys(("drift", "quality", "poisoned-outcomes"), 2 * _HOUR_S),  # told again every hour
    "source-silence": 7 * _DAY_S,  # told once, and when it has ended
    # What happened once, and does not end by itself.
    **dict.fromkeys(
        (
            *("release-refused", "release-unavailable", "release-ending", "release-log-cut"),
            *("shadow-failed", "rescan-finding"),
        ),
        _DAY_S,
    ),
}

STANDS_AT_MOST_S = max(_STANDS_S.values())


def stands_s(rule_id: str) -> int:
    """Return for how many seconds an alert of a rule stands when it is neither told again nor said to have ended.

    Twice as long as a rule that goes on firing waits before it tells again: ten minutes, unless above.
    """
    return _STANDS_S.get(rule_id, 20 * _MINUTE_S)


class Ecs(msgspec.Struct, frozen=True):
    version: str = ECS_VERSION


class AlertEvent(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["alert"] = "alert"
    category: tuple[str, ...]
    type: tuple[str, ...]
    module: str = "cardiosentry"
    dataset: str
    severity: int
    risk_score: int
    created: str
    action: Literal["ended"] | msgspec.UnsetType = msgspec.UNSET
    id: str | msgspec.UnsetType = msgspec.UNSET
    start: str | msgspec.UnsetType = msgspec.UNSET
    end: str | msgspec.UnsetType = msgspec.UNSET


class Rule(msgspec.Struct, frozen=True):
    """A detection rule: `id` is stable, `reference` its runbook."""

    id: str
    name: str
    version: str
    reference: str


class Technique(msgspec.Struct, frozen=True):
    id: tuple[str, ...]
    name: tuple[str, ...]


class Threat(msgspec.Struct, frozen=True):
    technique: Technique
    framework: str = "MITRE ATLAS"


class Alert(msgspec.Struct, frozen=True, kw_only=True, rename={"timestamp": "@timestamp"}):
    """One alert. `message` and `labels` are for a reviewer; they never hold a patient's features."""

    timestamp: str
    ecs: Ecs = Ecs()
    event: AlertEvent
    rule: Rule
    threat: Threat | None = None
    message: str
    labels: dict[str, str] = {}

    @property
    def is_end(self) -> bool:
        """Whether it says that what was told is over."""
        return self.event.action == "ended"


def alert(
    rule: Rule,
    message: str,
    *,
    at_ms: int,
    dataset: Literal["security", "model"],
    severity: Severity,
    technique: tuple[str, str] | None = None,
    labels: dict[str, str] | None = None,
    first_ms: int | None = None,
    id: str | None = None,
    ended: bool = False,
) -> Alert:
    """Build an alert at `at_ms` (epoch milliseconds); `technique` is an ATLAS id and name.

    `first_ms` is when what it tells of began. `id` is the same for alerts that tell of the same.
    `ended` says that what was told with these labels is over.
    """
    at = time_text(at_ms)
    return Alert(
        timestamp=at,
        event=AlertEvent(
            category=_CATEGORY[dataset][0],
            type=_CATEGORY[dataset][1],
            dataset=f"cardiosentry.{dataset}",
            severity=SEVERITY_NUMBER[severity],
            risk_score=RISK_SCORE[severity],
            created=at,
            action="ended" if ended else msgspec.UNSET,
            id=id or msgspec.UNSET,
            start=msgspec.UNSET if first_ms is None else time_text(first_ms),
            end=msgspec.UNSET if first_ms is None else at,
        ),
        rule=rule,
        threat=Threat(Technique((technique[0],), (technique[1],))) if technique else None,
        message=message,
        labels=labels or {},
    )
