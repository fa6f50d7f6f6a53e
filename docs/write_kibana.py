"""Write what `cardiosentry kibana import` brings: `python docs/write_kibana.py`. A test says when it is not current."""

from pathlib import Path

from cli.rescanning import RULE as RESCAN
from contracts.alerts import Rule, Severity
from monitoring.kibana.package import DETECTION_RULES, SAVED_OBJECTS, written
from monitoring.kibana.rules import Kind, detection_rule
from monitoring.kibana.saved import saved_objects
from stream_app import release_alerts
from stream_app.detectors.rules import load_rules

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "monitoring" / "kibana"

_MANIPULATED = ("AML.T0018", "Manipulate AI Model")
# What no table of rules says: it stands where these alerts are raised. A test raises each and compares.
_OTHERS: tuple[tuple[Rule, Severity, tuple[str, str] | None], ...] = (
    (release_alerts.REFUSED, "high", _MANIPULATED),
    (release_alerts.UNAVAILABLE, "high", None),
    (release_alerts.NO_CHAMPION, "critical", None),
    (release_alerts.ENDING, "medium", None),
    (release_alerts.CUT, "high", _MANIPULATED),
    (release_alerts.SHADOW_FAILED, "medium", None),
    (RESCAN, "high", ("AML.T0010", "AI Supply Chain Compromise")),
)


def kinds() -> list[Kind]:
    """Return every kind of alert that the program raises."""
    detectors = [(each.rule, each.severity, each.technique) for each in load_rules().all]
    return [
        Kind(rule, severity, technique, (DOCS / "runbooks" / f"{rule.id}.md").read_text("utf-8"))
        for rule, severity, technique in (*detectors, *_OTHERS)
    ]


def files() -> dict[Path, str]:
    """Return what each file is to hold."""
    return {
        PACKAGE / SAVED_OBJECTS: written(saved_objects()),
        PACKAGE / DETECTION_RULES: written([detection_rule(kind) for kind in kinds()]),
    }


if __name__ == "__main__":
    for file, content in files().items():
        file.write_text(content, "utf-8")
