"""Panels of what was told: alerts by time, rule, source and MITRE ATLAS; quarantine. No I/O."""

import textwrap
from typing import Any

from monitoring.elastic.streams import PREDICTION_STREAM, QUARANTINE_STREAM, Names
from monitoring.kibana.atlas import atlas
from monitoring.kibana.queries import ENDS, NOT_ENDED, asked, buckets, over_time, terms
from monitoring.kibana.rules import ALERTS
from monitoring.kibana.vega import (
    Spec,
    data,
    over_whole_time,
    severity_colour,
    severity_name,
    spec,
    stacked_bars,
    time_axis,
    whole_time,
)

_NO_SOURCE = "(no source)"
_MANY = 40

EVERYBODY = 'datum.label == "*" ? "all sources" : datum.label'
"""How an axis of sources names the one that alerts counted over all sources have."""


def alerts_over_time() -> Spec:
    """Alerts by severity over time."""
    url = asked(ALERTS, over_time({"severity": terms("event.severity", 4)}), without=NOT_ENDED)
    named = [severity_name(".part.key")]
    bars = stacked_bars("severity", "severity", severity_colour(), "alerts", named)
    return over_whole_time(data(url, buckets("time")), bars)


def alerts_by_rule() -> Spec:
    """When which rule told: a dot of each rule and time, its colour the worst severity, its size how often."""
    url = asked(ALERTS, over_time({"rule": _worst("rule.id")}), without=NOT_ENDED)
    return spec(data=data(url, buckets("time")), transform=ENDS, layer=[whole_time(), _dots("rule", None)])


def alerts_by_source() -> Spec:
    """Which sources were told of, by severity."""
    parts = {"severity": terms("event.severity", 4)}
    url = asked(
        ALERTS, {"source": {**terms("labels.source", _MANY, missing=_NO_SOURCE), "aggs": parts}}, without=NOT_ENDED
    )
    return spec(
        data=data(url, buckets("source")),
        transform=[{"flatten": ["severity.buckets"], "as": ["part"]}, severity_name(".part.key")],
        mark={"type": "bar", "tooltip": True},
        encoding={
            "y": {"field": "key", "type": "nominal", "sort": "-x", "title": None, "axis": {"labelExpr": EVERYBODY}},
            "x": {"field": "part.doc_count", "type": "quantitative", "title": "alerts", "axis": {"tickMinStep": 1}},
            "color": severity_colour(),
            "order": {"field": "part.key", "sort": "descending"},
            "tooltip": [
                {"field": "key", "title": "source"},
                {"field": "severity", "title": "severity"},
                {"field": "part.doc_count", "title": "alerts"},
            ],
        },
    )


def atlas_matrix() -> Spec:
    """MITRE ATLAS: each technique that a rule of ours names under its tactics, with how often it was told."""
    url = asked(ALERTS, {"technique": terms("threat.technique.id", 100)}, without=NOT_ENDED)
    cells = [{**cell, "lines": [cell["technique"], *textwrap.wrap(cell["name"], 28)]} for cell in atlas().cells()]
    columns = [cell["tactic"] for cell in sorted(cells, key=lambda cell: cell["column"])]
    at: dict[str, Any] = {
        "x": {
            "field": "tactic",
            "type": "nominal",
            "sort": list(dict.fromkeys(columns)),
            "title": None,
            "axis": {"orient": "top", "labelAngle": 0, "labelFontWeight": "bold", "ticks": False, "domain": False},
            "scale": {"paddingInner": 0.04},
        },
        "y": {"field": "row", "type": "ordinal", "axis": None, "scale": {"paddingInner": 0.06}},
    }
    ink = {"condition": {"test": "datum.told > 0", "value": "#ffffff"}, "value": "#6b7280"}
    return spec(
        data={"values": cells},
        transform=[
            {
                "lookup": "technique",
                "from": {"data": data(url, buckets("technique")), "key": "key", "fields": ["doc_count"]},
                "default": 0,
            },
            {"calculate": "datum.doc_count || 0", "as": "told"},
        ],
        encoding=at,
        view={"stroke": None},
        layer=[
            {
                "mark": {"type": "rect", "cornerRadius": 3, "tooltip": True},
                "encoding": {
                    "color": {
                        "condition": {
                            "test": "datum.told > 0",
                            "field": "told",
                            "type": "quantitative",
                            "scale": {"type": "symlog", "range": ["#b4623c", "#7a0f2b"]},
                            "legend": None,
                        },
                        "value": "#e5e7eb",
                    },
                    "tooltip": [
                        {"field": "technique", "title": "technique"},
                        {"field": "name", "title": "name"},
                        {"field": "tactic", "title": "tactic"},
                        {"field": "told", "title": "alerts"},
                    ],
                },
            },
            {
                "mark": {"type": "text", "baseline": "middle", "dy": -20, "fontSize": 11, "lineHeight": 14},
                "encoding": {"text": {"field": "lines"}, "color": ink},
            },
            {
                "transform": [{"filter": "datum.told > 0"}],
                "mark": {"type": "text", "dy": 26, "fontSize": 16, "fontWeight": "bold", "color": "#ffffff"},
                "encoding": {"text": {"field": "told"}},
            },
        ],
    )


def predictions_and_alerts() -> Spec:
    """Each source's predictions over time, darker where there are more, and on them the alerts about that source."""
    positive = {"positive": {"filter": {"term": {"cardiosentry.decision": "positive"}}}}
    by_source = {**terms("labels.source", _MANY), "aggs": positive}
    predictions = asked([Names().pattern(PREDICTION_STREAM)], over_time({"source": by_source}))
    alerts = asked(ALERTS, over_time({"source": _worst("labels.source", missing=_NO_SOURCE)}), without=NOT_ENDED)
    scored = {
        "transform": [
            {"flatten": ["source.buckets"], "as": ["part"]},
            {"calculate": "datum.part.positive.doc_count / datum.part.doc_count", "as": "positive"},
        ],
        "mark": {"type": "rect", "tooltip": True, "stroke": None},
        "encoding": {
            "x": time_axis(),
            "x2": {"field": "end"},
            "y": {
                "field": "part.key",
                "type": "nominal",
                "title": None,
                "sort": "ascending",
                "scale": {"paddingInner": 0.15},
            },
            "color": {
                "field": "part.doc_count",
                "type": "quantitative",
                "title": "predictions",
                "scale": {"type": "sqrt", "zero": True, "range": ["#eef2f7", "#7f9cc0"]},
            },
            "tooltip": [
                {"field": "key", "type": "temporal", "title": "from", "format": "%d %b %H:%M:%S"},
                {"field": "part.key", "title": "source"},
                {"field": "part.doc_count", "title": "predictions"},
                {"field": "positive", "title": "positive, share", "format": ".3f"},
            ],
        },
    }
    return spec(
        layer=[
            {
                "data": data(predictions, buckets("time")),
                "transform": ENDS,
                "layer": [whole_time(), scored],
            },
            {"data": data(alerts, buckets("time")), "transform": ENDS, "layer": [_dots("source", "ascending")]},
        ],
        resolve={"scale": {"color": "independent"}},
    )


def quarantine() -> Spec:
    """Records in quarantine by reason, and by the topic that they came from."""
    topics = {"events": "*patient-events/*", "outcomes": "*patient-outcomes/*"}
    origin = {"filters": {name: {"wildcard": {"cardiosentry.origin": each}} for name, each in topics.items()}}
    by_reason = {**terms("cardiosentry.reason", _MANY), "aggs": {"origin": {"filters": origin}}}
    url = asked([Names().pattern(QUARANTINE_STREAM)], {"reason": by_reason})
    counts = [{"calculate": f"datum.origin.buckets.{name}.doc_count", "as": name} for name in topics]
    return spec(
        data=data(url, buckets("reason")),
        transform=[*counts, {"fold": list(topics), "as": ["topic", "records"]}],
        mark={"type": "bar", "tooltip": True},
        encoding={
            "y": {"field": "key", "type": "nominal", "sort": "-x", "title": None},
            "x": {"field": "records", "type": "quantitative", "title": "records", "axis": {"tickMinStep": 1}},
            "color": {
                "field": "topic",
                "type": "nominal",
                "title": "from patient-",
                "scale": {"domain": list(topics), "range": ["#54769f", "#b48ead"]},
            },
            "tooltip": [
                {"field": "key", "title": "reason"},
                {"field": "topic", "title": "from patient-"},
                {"field": "records", "title": "records"},
            ],
        },
    )


def _worst(field: str, **more: str) -> dict[str, Any]:
    """Return an aggregation by a field with the worst severity of each value."""
    return {**terms(field, _MANY, **more), "aggs": {"worst": {"max": {"field": "event.severity"}}}}


def _dots(name: str, order: str | None) -> Spec:
    """Return a layer of dots over time, a line of them for each value of the aggregation `name`.

    The lines are in this `order`, without one in that in which they first told.
    """
    return {
        "transform": [
            {"flatten": [f"{name}.buckets"], "as": ["part"]},
            {"calculate": "(datum.key + datum.end) / 2", "as": "middle"},
            severity_name(".part.worst.value"),
        ],
        "mark": {"type": "circle", "tooltip": True, "opacity": 0.9},
        "encoding": {
            "x": {**time_axis(), "field": "middle"},
            "y": {
                "field": "part.key",
                "type": "nominal",
                "title": None,
                "axis": {"grid": True, "labelExpr": EVERYBODY, "zindex": 0},  # below dots that lie on rectangles
                "sort": order,
            },
            "size": {
                "field": "part.doc_count",
                "type": "quantitative",
                "scale": {"domain": [1, 30], "range": [45, 450], "type": "sqrt", "clamp": True},
                "legend": None,
            },
            "color": {**severity_colour(), "title": "alerts, worst severity"},
            "tooltip": [
                {"field": "key", "type": "temporal", "title": "from", "format": "%d %b %H:%M:%S"},
                {"field": "part.key", "title": name},
                {"field": "severity", "title": "worst"},
                {"field": "part.doc_count", "title": "alerts"},
            ],
        },
    }
