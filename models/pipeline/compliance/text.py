"""Free text: what the rules find in it, and the text without that."""

import re
import unicodedata
from typing import NamedTuple

from models.pipeline.compliance.rules import Rule, matchers

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_MARK = re.compile(r"\[(?:removed: [a-z-]+|90 or older)\]")


class Span(NamedTuple):
    """Where in the plain form of a text a rule found something."""

    start: int
    end: int
    rule: Rule


def plain(text: str) -> str:
    """Return `text` as a reader sees it: full-width digits are digits, what is invisible is gone."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))


def scan(text: str, heading: str, regions: tuple[str, ...]) -> list[Span]:
    """Return what the rules find in the plain form of `text`, in its order.

    Of two that overlap the longer one counts, of equally long ones the rule that stands first. `heading` is the
    column's name as words; `regions` are whose national telephone numbers are known.

    >>> [(span.rule.id, span.start) for span in scan("mail jo@example.org", "", ())]
    [('email', 5)]
    """
    seen = plain(text)
    marks = [match.span() for match in _MARK.finditer(seen)]  # what an earlier pass has put there
    found = [Span(*place, matcher.rule) for matcher in matchers() for place in matcher.find(seen, heading, regions)]
    taken: list[Span] = []
    for span in sorted(found, key=lambda span: span.start - span.end):
        if any(span.start < end and start < span.end for start, end in marks):
            continue
        if not any(span.start < other.end and other.start < span.end for other in taken):
            taken.append(span)
    return sorted(taken, key=lambda span: span.start)


def masked(text: str, spans: list[Span]) -> str | None:
    """Return `text` without what `spans` (of `scan`) hold, None where the whole of it has to go.

    >>> masked("mail jo@example.org", scan("mail jo@example.org", "", ()))
    'mail [removed: email]'
    """
    if any(span.rule.remedy == "empty" for span in spans):
        return None
    seen = plain(text)
    for span in reversed(spans):
        mark = "[90 or older]" if span.rule.id == "age-over-89" else f"[removed: {span.rule.id}]"
        seen = seen[: span.start] + mark + seen[span.end :]
    return seen


def words(heading: str) -> str:
    """Return a column's name as words in lower case: `PatientName2` and `patient_name` become `patient name`.

    >>> words("PatientName2")
    'patient name'
    """
    spaced = re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain(heading))
    return " ".join(re.findall(r"[^\W\d_]+", spaced)).lower()
