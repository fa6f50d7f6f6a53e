"""What Kibana does with a panel of Vega: fills in its query, asks Elasticsearch, and draws the answer.

Which placeholders, and what for, is what its documentation says and its parser of queries does
(https://www.elastic.co/docs/explore-analyze/visualize/custom-visualizations-with-vega). Kibana itself is not here.
"""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import vl_convert
from elasticsearch import Elasticsearch

_CLAUSES = {
    "%dashboard_context-must_clause%": "must",
    "%dashboard_context-filter_clause%": "filter",
    "%dashboard_context-must_not_clause%": "must_not",
}
# Milliseconds at most, and the interval that Kibana rounds to.
_ROUNDED = (
    *((500, "100ms"), (5000, "1s"), (7500, "5s"), (15_000, "10s"), (45_000, "30s"), (180_000, "1m"), (450_000, "5m")),
    *((1_200_000, "10m"), (2_700_000, "30m"), (7_200_000, "1h"), (21_600_000, "3h"), (86_400_000, "12h")),
)
_COLUMN_PX, _ROW_PX, _MARGIN_PX, _TITLE_PX = 1620 / 48, 20, 8, 32


class Bounds(NamedTuple):
    """What the time picker says, epoch milliseconds."""

    first_ms: int
    last_ms: int


class Panel(NamedTuple):
    """A panel as the dashboard has it, its size in pixels of a screen 1620 wide."""

    name: str
    spec: dict[str, Any]
    width: int
    height: int


def panels(objects: list[dict[str, Any]]) -> Iterator[Panel]:
    """Yield every Vega panel of the one dashboard among saved objects."""
    (dashboard,) = [each for each in objects if each["type"] == "dashboard"]
    by_id = {(each["type"], each["id"]): each for each in objects}
    referred = {each["name"]: (each["type"], each["id"]) for each in dashboard["references"]}
    for placed in json.loads(dashboard["attributes"]["panelsJSON"]):
        made = by_id[referred[f"{placed['panelIndex']}:{placed['panelRefName']}"]]
        if made["type"] != "visualization":
            continue
        state = json.loads(made["attributes"]["visState"])
        assert state["type"] == "vega"
        grid = placed["gridData"]
        height = grid["h"] * _ROW_PX + (grid["h"] - 1) * _MARGIN_PX - _TITLE_PX
        yield Panel(made["id"], json.loads(state["params"]["spec"]), round(grid["w"] * _COLUMN_PX) - 24, height)


def answered(client: Elasticsearch, spec: dict[str, Any], bounds: Bounds, **filters: Any) -> dict[str, Any]:
    """Return a spec with Elasticsearch's answers in place of its queries; `filters` are those of the dashboard."""
    spec = copy.deepcopy(spec)
    for data in _queries(spec):
        url = data.pop("url")
        data["values"] = search(client, url, bounds, filters)
    return spec


def search(
    client: Elasticsearch, url: dict[str, Any], bounds: Bounds, filters: dict[str, list[Any]] | None = None
) -> dict[str, Any]:
    """Ask what Kibana would ask for a `url` of a panel, and return the answer whole."""
    assert set(url) == {"index", "body"}, "what else there may be is filled in otherwise"
    body = _filled(url["body"], bounds, filters or {}, "")
    assert "%" not in json.dumps(body), body
    return dict(client.search(index=url["index"].split(","), body=body).body)


def queries(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the `url` of each query in a spec, in its order."""
    return [data["url"] for data in _queries(spec)]


def png(panel: Panel, spec: dict[str, Any]) -> bytes:
    """Return the picture of a panel whose queries are answered."""
    return vl_convert.vegalite_to_png(_sized(panel, spec), vl_version="5.8", scale=1)


def svg(panel: Panel, spec: dict[str, Any]) -> str:
    """Return the picture of a panel as SVG, in which texts can be read."""
    return vl_convert.vegalite_to_svg(_sized(panel, spec), vl_version="5.8")


def _sized(panel: Panel, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec as Kibana lays it out: all of the panel, axes and legends inside."""
    fit = {"type": "fit", "contains": "padding"}
    return {**spec, "width": panel.width, "height": panel.height, "autosize": fit, "background": "#ffffff"}


def _queries(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if isinstance(part.get("data"), dict) and isinstance(part["data"].get("url"), dict):
            yield part["data"]
        for each in list(part.values()):
            yield from _queries(each)
    elif isinstance(part, list):
        for each in part:
            yield from _queries(each)


def _filled(part: Any, bounds: Bounds, filters: dict[str, list[Any]], key: str) -> Any:
    if isinstance(part, list):
        made: list[Any] = []
        for each in part:
            if isinstance(each, str) and each in _CLAUSES:
                made += filters.get(_CLAUSES[each], [])
            else:
                made.append(_filled(each, bounds, filters, ""))
        return made
    if not isinstance(part, dict):
        return part
    if part == {"%timefilter%": True}:
        first, last = (datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in bounds)
        return {"gte": first, "lte": last, "format": "strict_date_optional_time"}
    if set(part) == {"%timefilter%"}:
        return {"min": bounds.first_ms, "max": bounds.last_ms}[part["%timefilter%"]]
    if key == "date_histogram" and isinstance(part.get("interval"), dict):
        wanted = (bounds.last_ms - bounds.first_ms) / part["interval"]["%autointerval%"]
        rounded = next((name for most, name in _ROUNDED if wanted <= most), "1d")
        part = {**{name: each for name, each in part.items() if name != "interval"}, "fixed_interval": rounded}
    return {name: _filled(each, bounds, filters, name) for name, each in part.items()}
