"""Detection rules of Elastic Security: each makes the alerts of one of our rules into alerts there. No I/O.

The form is that of the detection engine's import,
https://www.elastic.co/docs/api/doc/kibana/operation/operation-importrules.
"""

import re
from typing import Any, NamedTuple

from contracts.alerts import RISK_SCORE, SEVERITY_NUMBER, Rule, Severity
from monitoring.elastic.streams import MODEL_STREAM, SECURITY_STREAM, Names
from monitoring.kibana.atlas import FRAMEWORK, atlas
from monitoring.kibana.version import TAG, VERSION

ALERTS = [Names().pattern(SECURITY_STREAM), Names().pattern(MODEL_STREAM)]
"""The indices that hold alerts."""


class Kind(NamedTuple):
    """The alerts of one rule. `severity` is what they have unless one says otherwise; `runbook` is Markdown."""

    rule: Rule
    severity: Severity
    technique: tuple[str, str] | None
    runbook: str


def detection_rule(kind: Kind) -> dict[str, Any]:
    """Return the detection rule of a kind of alert; raises `ValueError` for a runbook without its paragraphs.

    It looks back a day, so that what was shipped late is found; one alert comes of a document, however often found.
    """
    rule = kind.rule
    return {
        "rule_id": f"cardiosentry-{rule.id}",
        "version": VERSION,
        "name": f"CardioSentry: {rule.name}",
        "description": _paragraph(kind.runbook, "Means"),
        "type": "query",
        "language": "lucene",
        "index": ALERTS,
        "query": query(rule),
        "severity": kind.severity,
        "severity_mapping": [
            {"field": "event.severity", "operator": "equals", "value": str(number), "severity": severity}
            for severity, number in SEVERITY_NUMBER.items()
        ],
        "risk_score": RISK_SCORE[kind.severity],
        "risk_score_mapping": [{"field": "event.risk_score", "operator": "equals", "value": ""}],
        "false_positives": [_paragraph(kind.runbook, "False positives")],
        "threat": atlas().threat(kind.technique[0]) if kind.technique else [],
        "tags": [TAG, *([FRAMEWORK, f"{FRAMEWORK}: {kind.technique[0]}"] if kind.technique else [])],
        "note": _plain_links(kind.runbook),
        "references": [],
        "author": ["CardioSentry"],
        "license": "Apache-2.0",
        "enabled": True,
        "interval": "1m",
        "from": "now-24h",
        "to": "now",
        "max_signals": 100,
        "exceptions_list": [],
        "actions": [],
    }


def query(rule: Rule) -> str:
    """Return the Lucene query for a rule's alerts but for those that say that something ended."""
    return f'event.kind:alert AND rule.id:"{rule.id}" AND NOT event.action:ended'


def _paragraph(runbook: str, head: str) -> str:
    found = re.search(rf"^\*\*{head}:\*\*(.*?)(?:\n\n|\Z)", runbook, re.DOTALL | re.MULTILINE)
    if not found:
        raise ValueError(f"expected a paragraph that begins with **{head}:**")
    text = " ".join(found[1].split())
    return text[0].upper() + text[1:]


def _plain_links(markdown: str) -> str:
    """Return it with the texts of links alone: they lead to files beside it, which Kibana does not have."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
