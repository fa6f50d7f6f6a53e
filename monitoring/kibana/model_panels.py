"""Panels of the models: which one scored, what it said, what was told of it, what people did with it. No I/O."""

from monitoring.elastic.streams import AUDIT_STREAM, INCIDENT_STREAM, MODEL_STREAM, PREDICTION_STREAM, Names
from monitoring.kibana.queries import NOT_ENDED, asked, buckets, over_time, terms
from monitoring.kibana.vega import Spec, data, over_whole_time, points_over_time, spec, stacked_bars, time_axis

_NAMES = Names()
TRAIL = [_NAMES.pattern(AUDIT_STREAM), _NAMES.pattern(INCIDENT_STREAM)]
"""The indices that say who did what."""

_PREDICTIONS = [_NAMES.pattern(PREDICTION_STREAM)]


def models() -> Spec:
    """Predictions by the model that made them: its version and the beginning of its digest."""
    version = {"version": terms("cardiosentry.model.version", 1)}
    url = asked(_PREDICTIONS, over_time({"model": {**terms("cardiosentry.model.digest", 10), "aggs": version}}))
    named = [{"calculate": "datum.part.version.buckets[0].key + ' ' + slice(datum.part.key, 7, 15)", "as": "model"}]
    colour = {"field": "model", "type": "nominal", "title": None, "scale": {"scheme": "tableau10"}}
    return over_whole_time(data(url, buckets("time")), stacked_bars("model", "model", colour, "predictions", named))


def scores() -> Spec:
    """The champion's mean probability, share of positive decisions and mean anomaly: each between 0 and 1."""
    shown = {
        "mean probability": "datum.probability.value",
        "positive, share": "datum.doc_count > 0 ? datum.positive.doc_count / datum.doc_count : null",
        "mean anomaly": "datum.anomaly.value",
    }
    inner = {
        "probability": {"avg": {"field": "cardiosentry.probability"}},
        "anomaly": {"avg": {"field": "cardiosentry.anomaly"}},
        "positive": {"filter": {"term": {"cardiosentry.decision": "positive"}}},
    }
    return spec(
        data=data(asked(_PREDICTIONS, over_time(inner)), buckets("time")),
        transform=[
            *({"calculate": expression, "as": name} for name, expression in shown.items()),
            {"fold": list(shown), "as": ["what", "value"]},
        ],
        mark={"type": "line", "point": {"size": 18}, "tooltip": True},
        encoding={
            "x": time_axis(),
            "y": {"field": "value", "type": "quantitative", "title": None, "scale": {"domain": [0, 1]}},
            "color": {
                "field": "what",
                "type": "nominal",
                "title": None,
                "scale": {"domain": list(shown), "range": ["#54769f", "#d9472b", "#7b9e4b"]},
            },
            "tooltip": [
                {"field": "key", "type": "temporal", "title": "from", "format": "%d %b %H:%M:%S"},
                {"field": "what", "title": "what"},
                {"field": "value", "title": "value", "format": ".3f"},
                {"field": "doc_count", "title": "predictions"},
            ],
        },
    )


def drift() -> Spec:
    """Drift and quality as they were told: which statistic, when, by which rule."""
    statistic = terms("labels.statistic", 40, missing="(none)")
    url = asked(
        [_NAMES.pattern(MODEL_STREAM)],
        over_time({"rule": {**terms("rule.id", 10), "aggs": {"statistic": statistic}}}),
        without=NOT_ENDED,
    )
    points = points_over_time(
        ("rule", "statistic"),
        "part.key",
        {"field": "rule.key", "domain": ["drift", "quality"]},
        {"rule.key": "rule", "part.key": "statistic", "part.doc_count": "alerts"},
    )
    points["encoding"]["shape"] = {"field": "rule.key", "type": "nominal", "title": None, "legend": None}
    return over_whole_time(data(url, buckets("time")), points)


def audit() -> Spec:
    """What people and pipelines did: releases, revocations, measures and acts on incidents, and what was refused."""
    actions = {**terms("event.action", 20), "aggs": {"outcome": terms("event.outcome", 2)}}
    url = asked(TRAIL, over_time({"action": actions}))
    points = points_over_time(
        ("action", "outcome"),
        "action.key",
        {"field": "outcome", "domain": ["signed", "refused"]},
        {"action.key": "action", "outcome": "outcome", "part.doc_count": "statements"},
    )
    points["transform"].append({"calculate": 'datum.part.key == "success" ? "signed" : "refused"', "as": "outcome"})
    return over_whole_time(data(url, buckets("time")), points)
