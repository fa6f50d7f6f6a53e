"""Incidents for people: rows, one incident whole, its timeline, a page."""

import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import msgspec
from rich.markdown import Markdown

from cli.tables import console, plain, print_table, when
from models.release_log import Entry, ReleaseLog
from monitoring.incidents import Incident, Told

_AROUND_MS = 3_600_000
"""What happened to models so long before an incident and after its last alert stands in its timeline."""


def summary(incident: Incident, now_ms: int) -> dict[str, str | int]:
    """Return an incident as a row."""
    return {
        "id": incident.id,
        "severity": incident.severity,
        "rule": incident.rule,
        "of": incident.subject,
        "since": when(incident.first.began_ms),
        "last told": when(incident.last.at_ms),
        "alerts": incident.told,
        "goes on": "no" if incident.is_over(now_ms) or incident.state == "closed" else "yes",
        "state": incident.state + (f": {incident.verdict}" if incident.verdict else ""),
        "assigned to": incident.assignee,
    }


def show(incident: Incident, now_ms: int) -> None:
    """Print an incident: what is known, the evidence of the last alert, the runbook."""
    output = console()
    alert = incident.last.alert
    output.print(plain(alert.rule.name), style="bold")
    output.print(plain(alert.message))
    if alert.threat:
        technique = " ".join((*alert.threat.technique.id, *alert.threat.technique.name))
        output.print(plain(f"{alert.threat.framework} {technique}"))
    print_table(("", ""), [(name, str(value)) for name, value in summary(incident, now_ms).items()])
    print_table(("evidence", ""), list(alert.labels.items()))
    if incident.done:
        print_table(
            ("when", "who", "what"), [(when(each.written_ms), each.by, _said(each.act)) for each in incident.done]
        )
    output.print(Markdown(runbook(incident.rule)))


def moments(incident: Incident, releases: ReleaseLog, now_ms: int) -> list[dict[str, str]]:
    """Return what happened around an incident, the oldest first, by when Kafka took it: signers may say any time."""
    found = [(told.at_ms, "alert", "", told.alert.message) for told in _told(incident)]
    found += [
        (done.written_ms, done.act.act, done.by, _said(done.act) + " (not possible then)" * (not done.counts))
        for done in incident.done
    ]
    begin = incident.first.began_ms - _AROUND_MS
    last_ms = max((incident.last.at_ms, *(done.written_ms for done in incident.done)))
    end = last_ms + _AROUND_MS if incident.state == "closed" else now_ms
    found += [
        (entry.at_ms, _kind(entry), ", ".join(entry.signed_by), _statement(entry))
        for entry in releases.entries
        if begin <= entry.at_ms <= end
    ]
    return [{"when": when(at_ms), "what": what, "by": by, "said": said} for at_ms, what, by, said in sorted(found)]


def document(incident: Incident, releases: ReleaseLog, now_ms: int) -> dict[str, Any]:
    """Return all that is known of an incident, as JSON has it."""
    alert = incident.last.alert
    return {
        "incident": summary(incident, now_ms),
        "exported": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds"),
        "rule": {"name": alert.rule.name, "runbook": runbook(incident.rule)},
        "threat": msgspec.to_builtins(alert.threat),
        "message": alert.message,
        "timeline": moments(incident, releases, now_ms),
        "acts": [
            {"by": each.by, "counts": each.counts, "written_at": each.written_ms, **msgspec.to_builtins(each.act)}
            for each in incident.done
        ],
        "alerts": [{"record": told.origin, **msgspec.to_builtins(told.alert)} for told in _told(incident)],
    }


def to_html(document: dict[str, Any]) -> str:
    """Return an incident's document as one page that needs nothing else."""
    from jinja2 import Environment, select_autoescape
    from markdown_it import MarkdownIt

    template = files("monitoring").joinpath("incident.html").read_text("utf-8")
    environment = Environment(autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True)
    text = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    for part in ("link_open", "link_close"):  # what they lead to stays where we are
        text.add_render_rule(part, lambda *_: "")
    return environment.from_string(template).render(document, runbook=text.render(document["rule"]["runbook"]))


def runbook(rule: str) -> str:
    """Return the runbook of a rule, Markdown; empty where there is none."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,63}", rule):  # of an alert that somebody else may have written
        return ""
    file = files("runbooks").joinpath(f"{rule}.md")
    return file.read_text("utf-8") if file.is_file() else ""


def _told(incident: Incident) -> list[Told]:
    rest = [told for told in incident.alerts if told is not incident.first]
    return [incident.first, *rest]


def _said(act: Any) -> str:
    about = act.to or act.verdict or ""
    return ": ".join(part for part in (f"{act.act} {about}".strip(), act.note) if part)


def _kind(entry: Entry) -> str:
    return type(entry.statement).__name__.lower()


def _statement(entry: Entry) -> str:
    what = entry.what.removeprefix("revocation")
    return f"{what} {entry.digest[:19]}".strip() + (f": {entry.reason}" if entry.reason else "")
