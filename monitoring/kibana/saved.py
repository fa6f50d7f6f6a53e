"""Saved objects of Kibana: data views, searches, panels and the dashboard that shows them. No I/O.

The forms are those of an export of Kibana 8.8 and later; a later Kibana brings them up to its own.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from monitoring.elastic.streams import (
    GATE_STREAM,
    LOG_STREAM,
    MODEL_STREAM,
    PREDICTION_STREAM,
    QUARANTINE_STREAM,
    SHADOW_STREAM,
    STREAMS,
    Names,
)
from monitoring.kibana import alert_panels, model_panels
from monitoring.kibana.rules import ALERTS
from monitoring.kibana.vega import Spec
from monitoring.kibana.version import VERSION

DASHBOARD = "cardiosentry-incidents"
_NAMES = Names()
_ALERTS_VIEW, _TRAIL_VIEW = "cardiosentry-alerts", "cardiosentry-trail"
_CORE = "8.8.0"
_TYPES = {"index-pattern": "8.0.0", "search": "8.0.0", "visualization": "8.5.0", "dashboard": "8.9.0"}


class Search(NamedTuple):
    """A saved search: what it is called, of which data view, which columns."""

    name: str
    title: str
    view: str
    columns: tuple[str, ...]


SEARCHES = (
    Search(
        "alerts",
        "Alerts",
        _ALERTS_VIEW,
        ("event.severity", "rule.id", "labels.source", "message", "threat.technique.id", "event.action"),
    ),
    Search(
        "drift",
        "Drift and quality",
        _NAMES.of(MODEL_STREAM),
        ("rule.id", "labels.statistic", "message", "labels.model", "event.start"),
    ),
    Search(
        "predictions",
        "Predictions",
        _NAMES.of(PREDICTION_STREAM),
        (
            *("cardiosentry.event_id", "cardiosentry.decision", "cardiosentry.probability", "cardiosentry.anomaly"),
            *("cardiosentry.missing", "cardiosentry.authenticated", "cardiosentry.model.version"),
        ),
    ),
    Search(
        "trial",
        "Predictions of models on trial",
        _NAMES.of(SHADOW_STREAM),
        ("cardiosentry.role", "cardiosentry.model.version", "cardiosentry.decision", "cardiosentry.probability"),
    ),
    Search(
        "quarantine",
        "Quarantine",
        _NAMES.of(QUARANTINE_STREAM),
        ("cardiosentry.reason", "cardiosentry.origin", "cardiosentry.digest"),
    ),
    Search(
        "audit",
        "Audit trail",
        _TRAIL_VIEW,
        (
            *("event.action", "event.outcome", "user.name", "message"),
            *("cardiosentry.incident", "cardiosentry.verdict", "cardiosentry.origin"),
        ),
    ),
    Search(
        "gates",
        "Gates of retrainings",
        _NAMES.of(GATE_STREAM),
        ("cardiosentry.run", "cardiosentry.step", "cardiosentry.check", "cardiosentry.verdict", "cardiosentry.found"),
    ),
    Search(
        "logs",
        "Logs",
        _NAMES.of(LOG_STREAM),
        ("log.level", "service.name", "service.node.name", "message"),
    ),
)


class Panel(NamedTuple):
    """A panel of Vega: what it is called and where it stands, in Kibana's grid of 48 columns."""

    name: str
    title: str
    made: Callable[[], Spec]
    x: int
    y: int
    width: int
    height: int


PANELS = (
    Panel("alerts-over-time", "Alerts by severity", alert_panels.alerts_over_time, 0, 0, 26, 12),
    Panel("alerts-by-source", "Alerts by source", alert_panels.alerts_by_source, 26, 0, 22, 12),
    Panel("alerts-by-rule", "Which rule told when", alert_panels.alerts_by_rule, 0, 12, 30, 18),
    Panel("quarantine", "Quarantine by reason and origin", alert_panels.quarantine, 30, 12, 18, 18),
    Panel("atlas", "Alerts on the MITRE ATLAS matrix", alert_panels.atlas_matrix, 0, 30, 48, 16),
    Panel(
        "predictions-and-alerts",
        "Predictions and alerts of each source",
        alert_panels.predictions_and_alerts,
        *(0, 46, 48, 14),
    ),
    Panel("models", "Which model scored", model_panels.models, 0, 60, 24, 12),
    Panel("scores", "What the champion says", model_panels.scores, 24, 60, 24, 12),
    Panel("drift", "Drift and quality as told", model_panels.drift, 0, 72, 24, 12),
    Panel("audit", "Releases, measures, incidents and refusals", model_panels.audit, 24, 72, 24, 12),
)
_TABLES = (("alerts", 84, 16), ("audit", 100, 14))  # searches below the panels: name, y, height


def saved_objects() -> list[dict[str, Any]]:
    """Return every saved object, what others refer to first."""
    return [
        _view(_ALERTS_VIEW, ",".join(ALERTS), "CardioSentry: alerts"),
        _view(_TRAIL_VIEW, ",".join(model_panels.TRAIL), "CardioSentry: audit trail"),
        *(_view(_NAMES.of(each), _NAMES.pattern(each), f"CardioSentry: {each.name}") for each in STREAMS),
        *map(_search, SEARCHES),
        *map(_panel, PANELS),
        _dashboard(),
    ]


def _object(kind: str, id: str, attributes: dict[str, Any], references: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "type": kind,
        "id": id,
        "attributes": attributes,
        "references": references,
        "coreMigrationVersion": _CORE,
        "typeMigrationVersion": _TYPES[kind],
    }


def _view(id: str, pattern: str, name: str) -> dict[str, Any]:
    """Return a data view; without `allowNoIndex` it is refused before the first document is there."""
    return _object(
        "index-pattern",
        id,
        {"title": pattern, "name": name, "timeFieldName": "@timestamp", "allowNoIndex": True},
        [],
    )


def _search(search: Search) -> dict[str, Any]:
    where = "kibanaSavedObjectMeta.searchSourceJSON.index"
    source = {"query": {"query": "", "language": "kuery"}, "filter": [], "indexRefName": where}
    return _object(
        "search",
        f"cardiosentry-search-{search.name}",
        {
            "title": f"CardioSentry: {search.title}",
            "description": "",
            "columns": list(search.columns),
            "sort": [["@timestamp", "desc"]],
            "grid": {},
            "hideChart": False,
            "kibanaSavedObjectMeta": {"searchSourceJSON": _json(source)},
        },
        [{"name": where, "type": "index-pattern", "id": search.view}],
    )


def _panel(panel: Panel) -> dict[str, Any]:
    state = {"title": panel.title, "type": "vega", "aggs": [], "params": {"spec": _json(panel.made(), indent=1)}}
    return _object(
        "visualization",
        f"cardiosentry-panel-{panel.name}",
        {
            "title": f"CardioSentry: {panel.title}",
            "description": " ".join((panel.made.__doc__ or "").split()),
            "uiStateJSON": "{}",
            "version": 1,
            "visState": _json(state),
            "kibanaSavedObjectMeta": {"searchSourceJSON": _json({"query": _NOTHING, "filter": []})},
        },
        [],
    )


def _dashboard() -> dict[str, Any]:
    placed = [
        ("visualization", f"cardiosentry-panel-{each.name}", each.title, (each.x, each.y, each.width, each.height))
        for each in PANELS
    ]
    titles = {each.name: each.title for each in SEARCHES}
    placed += [
        ("search", f"cardiosentry-search-{name}", titles[name], (0, y, 48, height)) for name, y, height in _TABLES
    ]
    panels = [
        {
            "type": kind,
            "panelIndex": str(number),
            "panelRefName": f"panel_{number}",
            "gridData": dict(zip("xywh", place, strict=True)) | {"i": str(number)},
            "title": title,
            "embeddableConfig": {"enhancements": {}},
        }
        for number, (kind, _, title, place) in enumerate(placed)
    ]
    return _object(
        "dashboard",
        DASHBOARD,
        {
            "title": "CardioSentry: incidents",
            "description": description(VERSION),
            "panelsJSON": _json(panels),
            "optionsJSON": _json({"useMargins": True, "hidePanelTitles": False, "syncColors": False}),
            "timeRestore": True,
            "timeFrom": "now-24h",
            "timeTo": "now",
            "refreshInterval": {"pause": False, "value": 60_000},
            "version": 1,
            "kibanaSavedObjectMeta": {"searchSourceJSON": _json({"query": _NOTHING, "filter": []})},
        },
        [
            {"name": f"{number}:panel_{number}", "type": kind, "id": id}
            for number, (kind, id, _, _) in enumerate(placed)
        ],
    )


def description(version: int) -> str:
    """Return what the dashboard says of itself; `version_in` reads the version out of it."""
    return f"Alerts, predictions, models and what was done about them. Made by CardioSentry, version {version}."


_NOTHING = {"query": "", "language": "kuery"}


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
