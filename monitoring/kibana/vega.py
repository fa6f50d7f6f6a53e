"""What the Vega-Lite panels share: colours, a scaffold, bars over time."""

from typing import Any

from contracts.alerts import SEVERITY_NUMBER
from monitoring.kibana.queries import ENDS

Spec = dict[str, Any]

_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"

_SEVERITY_COLOUR = {"critical": "#8e1230", "high": "#d9472b", "medium": "#e8a33d", "low": "#8aa4c4"}
SEVERITY = {"domain": list(_SEVERITY_COLOUR), "range": list(_SEVERITY_COLOUR.values())}
"""Colours of severities, told apart by how dark they are as well."""

# Vega's own labels know twelve hours a day.
_CLOCK = (
    'timeFormat(datum.value, seconds(datum.value) > 0 ? "%H:%M:%S"'
    ' : hours(datum.value) + minutes(datum.value) > 0 ? "%H:%M" : "%d %b")'
)

_NAMES = {number: name for name, number in SEVERITY_NUMBER.items()}


def severity_name(field: str) -> dict[str, Any]:
    """Return the transform that names the severity whose number stands in `field`."""
    return {"calculate": f"{_NAMES!r}[datum{field}]".replace("'", '"'), "as": "severity"}


def spec(**parts: Any) -> Spec:
    """Return a Vega-Lite spec; Kibana gives it the panel's size and the theme's colours."""
    config = {"axis": {"labelFontSize": 11, "titleFontSize": 11, "labelLimit": 220}, "legend": {"orient": "top"}}
    return {"$schema": _SCHEMA, "config": config, **parts}


def data(url: dict[str, Any], format: dict[str, str]) -> dict[str, Any]:
    """Return the data of a query, `format` saying which buckets."""
    return {"url": url, "format": format}


def time_axis() -> dict[str, Any]:
    """Return the encoding of a bucket's beginning."""
    return {"field": "key", "type": "temporal", "title": None, "axis": {"labelExpr": _CLOCK}}


def whole_time() -> Spec:
    """Return a layer that shows nothing and stretches the axis over all buckets, empty ones too."""
    return {"mark": {"type": "rule", "opacity": 0, "tooltip": None}, "encoding": {"x": time_axis()}}


def stacked_bars(
    path: str, name: str, colour: dict[str, Any], title: str, named: list[dict[str, Any]], opacity: float = 1
) -> Spec:
    """Return a layer of bars over time, stacked by the inner buckets of `path`.

    `named` are transforms that set `name` of the inner bucket `part`. They are rectangles of their own making, since a
    bar between two times would lie down.
    """
    return {
        "transform": [
            {"flatten": [f"{path}.buckets"], "as": ["part"]},
            *named,
            {"stack": "part.doc_count", "groupby": ["key"], "sort": [{"field": "part.key"}], "as": ["from", "to"]},
        ],
        "mark": {"type": "rect", "tooltip": True, "opacity": opacity, "stroke": None},
        "encoding": {
            "x": time_axis(),
            "x2": {"field": "end"},
            "y": {"field": "from", "type": "quantitative", "title": title, "axis": {"tickMinStep": 1, "format": "~s"}},
            "y2": {"field": "to"},
            "color": colour,
            "tooltip": [
                {"field": "key", "type": "temporal", "title": "from", "format": "%d %b %H:%M:%S"},
                {"field": name, "title": name},
                {"field": "part.doc_count", "title": "count"},
            ],
        },
    }


def points_over_time(paths: tuple[str, str], row: str, colour: dict[str, Any], tooltip: dict[str, str]) -> Spec:
    """Return a layer of points at the middles of the buckets of time, a `row` for each value of a field.

    `paths` are the buckets inside and those inside them, which are `part`; `colour` has a field and its two values;
    `tooltip` the titles of fields.
    """
    outer, inner = paths
    return {
        "transform": [
            {"flatten": [f"{outer}.buckets"], "as": [outer]},
            {"flatten": [f"{outer}.{inner}.buckets"], "as": ["part"]},
            {"calculate": "(datum.key + datum.end) / 2", "as": "middle"},
        ],
        "mark": {"type": "point", "filled": True, "size": 110, "tooltip": True},
        "encoding": {
            "x": {**time_axis(), "field": "middle"},
            "y": {"field": row, "type": "nominal", "title": None, "axis": {"grid": True}},
            "color": {
                "field": colour["field"],
                "type": "nominal",
                "title": None,
                "scale": {"domain": colour["domain"], "range": ["#54769f", "#d9472b"]},
            },
            "tooltip": [
                {"field": "key", "type": "temporal", "title": "from", "format": "%d %b %H:%M:%S"},
                *({"field": field, "title": title} for field, title in tooltip.items()),
            ],
        },
    }


def over_whole_time(source: dict[str, Any], layer: Spec) -> Spec:
    """Return a panel of a layer over the whole of the time picker."""
    return spec(data=source, transform=ENDS, layer=[whole_time(), layer])


def severity_colour() -> dict[str, Any]:
    """Return the encoding of a severity's name as its colour."""
    return {"field": "severity", "type": "nominal", "scale": SEVERITY, "title": None}
