"""What a scanner read: findings with a severity, and what it could not look at."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.pipeline.scanners.policy import SEVERITIES, Severity


class ScannerFailed(Exception):
    """A scanner gave no answer that can be relied on; the text says what was expected and what came."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One finding, as `models.pipeline.check.Finding`, with its severity."""

    id: str
    where: str
    what: str
    severity: Severity

    @property
    def rank(self) -> int:
        return SEVERITIES.index(self.severity)


@dataclass(frozen=True)
class Reading:
    """`found` is what the scanner told; `unread` names what it was given and did not look at."""

    found: tuple[Found, ...] = ()
    unread: tuple[str, ...] = ()


def severity_of_score(score: float) -> Severity:
    """Return what a CVSS base score is called (CVSS 3.1, section 5). Tools write 0 where they know none: critical.

    >>> severity_of_score(9.8), severity_of_score(3.9), severity_of_score(0)
    ('critical', 'low', 'critical')
    """
    if not 0 < score < 9:
        return "critical"
    return "high" if score >= 7 else "medium" if score >= 4 else "low"


def one_line(text: str, length: int = 200) -> str:
    """Return a tool's words as one line of bounded length, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * length]).split())[:length]


# SARIF's levels and other tools' words beside our own.
_WORDS: dict[str, Severity] = {
    "critical": "critical",
    "error": "high",
    "high": "high",
    "low": "low",
    "medium": "medium",
    "moderate": "medium",
    "negligible": "low",
    "none": "low",
    "note": "low",
    "warning": "medium",
}


def severity_named(name: str) -> Severity:
    """Return a tool's word for a severity; one that we do not know counts as the worst."""
    return _WORDS.get(name.lower(), "critical")


def not_seen(given: Iterable[str], seen: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(given) - set(seen)))
