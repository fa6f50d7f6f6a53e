"""Bringing dashboard and rules into Kibana: again and again, without undoing what people changed there.

What is of a later version is left alone. Rules of the same version are, too; one of an earlier version is replaced, and
keeps what people gave it: whether it runs, its actions and its exceptions.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from contracts.errors import UserError
from monitoring.kibana.client import Kibana
from monitoring.kibana.package import Lines, parsed, version_in, written
from monitoring.kibana.version import TAG, VERSION

_KEPT = ("enabled", "actions", "exceptions_list")
_PAGE = 100
_TOLD = 5
"""Of so many errors the first are told, beside their number."""


class Done(NamedTuple):
    """What became of a part of what is imported."""

    what: str
    became: str


def import_saved_objects(kibana: Kibana, objects: Lines) -> Iterator[Done]:
    """Import data views, searches, panels and the dashboard, all or none; raises `UserError`."""
    (dashboard,) = [each for each in objects if each["type"] == "dashboard"]
    there = _dashboard_version(kibana, dashboard["id"])
    what = f"{len(objects)} saved objects"
    if there is not None and there > VERSION:
        yield Done(what, _left_alone(there))
        return
    answer = kibana.import_file("saved_objects/_import", "saved-objects.ndjson", written(objects))
    errors = [
        f"{each.get('type')} {each.get('id')}: {(each.get('error') or {}).get('type', 'refused')}"
        for each in answer.get("errors") or ()
    ]
    _require(answer, errors, answer.get("successCount"), len(objects), "saved objects")
    yield Done(what, "made" if there is None else "replaced")


def import_rules(kibana: Kibana, rules: Lines) -> Iterator[Done]:
    """Import detection rules that are not there, or of an earlier version; raises `UserError`."""
    there = _rules_there(kibana)
    wanted, as_before, later = [], 0, 0
    for rule in rules:
        found = there.get(rule["rule_id"])
        version = int(found.get("version", 0)) if found else 0
        as_before += version == VERSION
        later += version > VERSION
        if version < VERSION:
            wanted.append(rule | {name: found[name] for name in _KEPT if name in found} if found else rule)
    if wanted:
        answer = kibana.import_file("detection_engine/rules/_import", "detection-rules.ndjson", written(wanted))
        errors = [
            f"{each.get('rule_id') or each.get('id') or 'rule'}: status {(each.get('error') or {}).get('status_code')}"
            for each in (*(answer.get("errors") or ()), *(answer.get("exceptions_errors") or ()))
        ]
        _require(answer, errors, answer.get("success_count"), len(wanted), "detection rules")
    made = sum(rule["rule_id"] not in there for rule in wanted)
    for count, became in (
        (made, "made"),
        (len(wanted) - made, "replaced"),
        (as_before, "as before"),
        (later, f"left alone: of a later version than {VERSION}"),
    ):
        if count:
            yield Done(f"{count} detection rules", became)


def _dashboard_version(kibana: Kibana, id: str) -> int | None:
    """Return of which version the dashboard in Kibana is, None where there is none."""
    body = {"objects": [{"type": "dashboard", "id": id}], "excludeExportDetails": True}
    exported = kibana.post("saved_objects/_export", body, passing=400)  # what it says of an object that is not there
    found = parsed(exported.decode()) if exported else []
    return version_in(found[0].get("attributes", {}).get("description", "")) if found else None


def _rules_there(kibana: Kibana) -> dict[str, dict[str, Any]]:
    """Return the rules in Kibana that have our tag, by `rule_id`."""
    there: dict[str, dict[str, Any]] = {}
    page, total = 0, 1
    while page * _PAGE < total:
        page += 1
        query: dict[str, str | int] = {"filter": f'alert.attributes.tags:"{TAG}"', "per_page": _PAGE, "page": page}
        answer = kibana.get("detection_engine/rules/_find", query)
        total = int(answer.get("total", 0))
        there |= {each["rule_id"]: each for each in answer.get("data", ())}
    return there


def _require(answer: dict[str, Any], errors: list[str], done: Any, wanted: int, what: str) -> None:
    """Raise `UserError` unless an import took everything; Kibana answers 200 also where it took nothing."""
    if answer.get("success") is True and done == wanted and not errors:
        return
    told = "; ".join(errors[:_TOLD]) + (f"; and {len(errors) - _TOLD} more" if len(errors) > _TOLD else "")
    raise UserError(f"Kibana: expected it to take {wanted} {what}, it took {done or 0}" + (f": {told}" if told else ""))


def _left_alone(version: int) -> str:
    return f"left alone: of version {version}, this is {VERSION}"
