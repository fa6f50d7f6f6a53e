"""Elasticsearch queries of Vega panels, with the placeholders that Kibana fills from time picker, query and filters.

What Kibana replaces: https://www.elastic.co/docs/explore-analyze/visualize/custom-visualizations-with-vega.
"""

from collections.abc import Sequence
from typing import Any

from monitoring.elastic.streams import Names

_TIME_FIELD = "@timestamp"
_BUCKETS = 60
"""About so many bars are in a panel over time."""

NOT_ENDED = {"term": {"event.action": "ended"}}
"""For `without`: what says that something is over is no alert more."""


def asked(
    index: Sequence[str],
    aggregations: dict[str, Any],
    *,
    without: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a Vega `url` that asks for aggregations over what the dashboard shows, `without` these.

    It asks the empty index of `ship --setup` as well: where no index matches, Elasticsearch answers without
    aggregations, which Vega takes for an error.
    """
    query = {
        "must": ["%dashboard_context-must_clause%"],
        "filter": [
            "%dashboard_context-filter_clause%",
            {"range": {_TIME_FIELD: {"%timefilter%": True}}},
        ],
        "must_not": ["%dashboard_context-must_not_clause%", *([without] if without else [])],
    }
    return {
        "index": ",".join((*index, Names().setup)),
        "body": {"size": 0, "query": {"bool": query}, "aggs": aggregations},
    }


def over_time(inner: dict[str, Any]) -> dict[str, Any]:
    """Return the aggregation `time`: buckets from one end of the time picker to the other, empty ones too."""
    bounds = {"min": {"%timefilter%": "min"}, "max": {"%timefilter%": "max"}}
    histogram = {
        "field": _TIME_FIELD,
        "interval": {"%autointerval%": _BUCKETS},
        "min_doc_count": 0,
        "extended_bounds": bounds,
    }
    return {"time": {"date_histogram": histogram, "aggs": inner}}


def terms(field: str, size: int, **more: Any) -> dict[str, Any]:
    """Return an aggregation by the values of a field, the most frequent first."""
    return {"terms": {"field": field, "size": size, **more}}


def buckets(*path: str) -> dict[str, str]:
    """Return Vega's `format` for the buckets of an aggregation."""
    return {"property": ".".join(("aggregations", *path, "buckets"))}


# The buckets of `over_time` have no end: it is the beginning of the next, all being of one length.
ENDS: list[dict[str, Any]] = [
    {
        "joinaggregate": [
            {"op": "min", "field": "key", "as": "first"},
            {"op": "max", "field": "key", "as": "last"},
            {"op": "count", "as": "count"},
        ]
    },
    {
        "calculate": "datum.key + (datum.count > 1 ? (datum.last - datum.first) / (datum.count - 1) : 60000)",
        "as": "end",
    },
]
