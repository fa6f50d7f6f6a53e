"""Every panel and every detection rule on a real Elasticsearch, filled by a real worker and the real shipper."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.alerts import SEVERITY_NUMBER
from contracts.events import DecodedPrediction
from monitoring.kibana.atlas import atlas
from monitoring.kibana.package import DETECTION_RULES, SAVED_OBJECTS, packaged
from tests.support.broker import Broker
from tests.support.elastic import ElasticServer
from tests.support.incidents import Incidents
from tests.support.kibana import Bounds, answered, panels, png, queries, search, svg
from tests.support.shipping import Shipped
from tests.support.site import Site

_SEVERITY = {number: name for name, number in SEVERITY_NUMBER.items()}
Counts = Counter[Any]


@pytest.fixture(scope="module")
def incidents(kafka: Broker, elastic: ElasticServer, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Incidents:
    return Incidents(kafka, elastic, site, tmp_path_factory.mktemp("incidents"))


@pytest.fixture(scope="module")
def asked(incidents: Incidents) -> dict[str, list[dict[str, Any]]]:
    """The aggregations that Elasticsearch answers to each panel's own queries, by its name."""
    return {
        panel.name.rpartition("panel-")[2]: [
            search(incidents.shipped.client, url, incidents.bounds)["aggregations"] for url in queries(panel.spec)
        ]
        for panel in panels(packaged(SAVED_OBJECTS, incidents.prefix))
    }


def current(incidents: Incidents, stream: str | None = None) -> list[dict[str, Any]]:
    """Return the alerts that were sent, but for what says that something is over."""
    return [each for each in incidents.alerts(stream) if each["event"].get("action") != "ended"]


def sent_predictions(incidents: Incidents) -> list[DecodedPrediction]:
    return [
        msgspec.json.decode(record.value or b"", type=DecodedPrediction) for record in incidents.records("predictions")
    ]


def counted(answer: dict[str, Any], *names: str) -> Counts:
    """Return documents by the keys of aggregations in each other; time is left out of the key."""
    found: Counts = Counter()

    def walk(part: dict[str, Any], left: tuple[str, ...], key: tuple[Any, ...]) -> None:
        if not left:
            found[key] += part["doc_count"]
            return
        for bucket in part[left[0]]["buckets"]:
            walk(bucket, left[1:], key if left[0] == "time" else (*key, bucket["key"]))

    walk(answer, names, ())
    return found


def of_alerts(made: Callable[[dict[str, Any]], tuple[Any, ...]]) -> Callable[[Incidents], Counts]:
    return lambda incidents: Counter(made(each) for each in current(incidents))


def source(told: dict[str, Any]) -> str:
    return str(told["labels"].get("source", "(no source)"))


PANELS: dict[str, tuple[str, int, tuple[str, ...], Callable[[Incidents], Counts]]] = {
    "severities": ("alerts-over-time", 0, ("time", "severity"), of_alerts(lambda each: (each["event"]["severity"],))),
    "rules": ("alerts-by-rule", 0, ("time", "rule"), of_alerts(lambda each: (each["rule"]["id"],))),
    "sources": (
        "alerts-by-source",
        0,
        ("source", "severity"),
        of_alerts(lambda each: (source(each), each["event"]["severity"])),
    ),
    "techniques": (
        "atlas",
        0,
        ("technique",),
        lambda incidents: Counter(
            (each["threat"]["technique"]["id"][0],) for each in current(incidents) if each.get("threat")
        ),
    ),
    "predictions of a source": (
        "predictions-and-alerts",
        0,
        ("time", "source"),
        lambda incidents: Counter((each.source,) for each in sent_predictions(incidents)),
    ),
    "alerts of the same source": (
        "predictions-and-alerts",
        1,
        ("time", "source"),
        of_alerts(lambda each: (source(each),)),
    ),
    "models": (
        "models",
        0,
        ("time", "model", "version"),
        lambda incidents: Counter((each.model.digest, each.model.version) for each in sent_predictions(incidents)),
    ),
    "drift": (
        "drift",
        0,
        ("time", "rule", "statistic"),
        lambda incidents: Counter(
            (each["rule"]["id"], each["labels"]["statistic"]) for each in current(incidents, "model-alerts")
        ),
    ),
    "quarantine": (
        "quarantine",
        0,
        ("reason",),
        lambda incidents: Counter(
            (dict(record.headers)["cs-reason"].decode(),) for record in incidents.records("quarantine")
        ),
    ),
}


@pytest.mark.parametrize(("panel", "query", "path", "sent"), PANELS.values(), ids=PANELS)
def test_a_panel_counts_what_was_sent(
    incidents: Incidents,
    asked: dict[str, list[dict[str, Any]]],
    panel: str,
    query: int,
    path: tuple[str, ...],
    sent: Callable[[Incidents], Counts],
) -> None:
    wanted = sent(incidents)
    assert len(wanted) > 1
    assert counted(asked[panel][query], *path) == wanted


def test_quarantine_is_told_by_the_topic_that_it_came_from(asked: dict[str, list[dict[str, Any]]]) -> None:
    for reason in asked["quarantine"][0]["reason"]["buckets"]:
        topics = {name: each["doc_count"] for name, each in reason["origin"]["buckets"].items()}
        assert topics == {"events": reason["doc_count"], "outcomes": 0}


def test_the_scores_are_the_means_of_what_was_predicted(
    incidents: Incidents, asked: dict[str, list[dict[str, Any]]]
) -> None:
    found = asked["scores"][0]["time"]["buckets"]
    sent = sent_predictions(incidents)
    ends = [each["key"] for each in found[1:]] + [incidents.bounds.last_ms]
    for name in ("probability", "anomaly"):
        for bucket, end in zip(found, ends, strict=True):
            values = [getattr(each, name) for each in sent if bucket["key"] <= each.scored_at < end]
            known = [value for value in values if value is not None]
            assert bucket[name]["value"] == (pytest.approx(sum(known) / len(known)) if known else None)
    positive = sum(each["positive"]["doc_count"] for each in found)
    assert positive == sum(each.decision == "positive" for each in sent)


def test_the_audit_panel_has_releases_measures_acts_and_what_was_refused(
    asked: dict[str, list[dict[str, Any]]],
) -> None:
    found = counted(asked["audit"][0], "time", "action", "outcome")
    assert found == {
        ("release", "success"): 1,
        ("step", "success"): 1,
        ("block-source", "success"): 1,
        ("acknowledge", "success"): 1,
        ("close", "success"): 1,
        ("refused", "failure"): 1,
    }


def test_filters_of_the_dashboard_hold_in_every_panel(incidents: Incidents) -> None:
    nothing = {"filter": [{"term": {"rule.id": "no-such-rule"}}]}
    for panel in panels(packaged(SAVED_OBJECTS, incidents.prefix)):
        for url in queries(panel.spec):
            found = search(incidents.shipped.client, url, incidents.bounds, nothing)
            assert found["hits"]["total"]["value"] == 0, panel.name


def test_a_filter_on_a_source_leaves_its_alerts_and_its_predictions(incidents: Incidents) -> None:
    source = {"filter": [{"term": {"labels.source": "st-mary/icu"}}]}
    (panel,) = [each for each in panels(packaged(SAVED_OBJECTS, incidents.prefix)) if "predictions-and" in each.name]
    found = [
        counted(search(incidents.shipped.client, url, incidents.bounds, source)["aggregations"], "time", "source")
        for url in queries(panel.spec)
    ]
    assert [set(each) for each in found] == [{("st-mary/icu",)}, {("st-mary/icu",)}]


def test_a_system_that_was_never_told_of_anything_has_empty_panels(elastic: ElasticServer) -> None:
    prefix = "kibana-nothing-"
    client = Shipped(elastic.address, prefix).set_up().client
    now_ms = time.time_ns() // 1_000_000
    for panel in panels(packaged(SAVED_OBJECTS, prefix)):
        made = answered(client, panel.spec, Bounds(now_ms - 900_000, now_ms))
        assert svg(panel, made).startswith("<svg"), panel.name


SHOWN = {
    "alerts-over-time": ["critical", "high", "medium"],
    "alerts-by-source": ["st-mary/icu", "all sources", "(no source)", "high"],
    "alerts-by-rule": ["forged-records", "raw-identifiers", "release-refused", "drift"],
    "quarantine": ["mac_wrong", "pseudonym"],
    "atlas": ["Impersonation", "AML.T0073", "Defense Evasion", "Impact"],
    "predictions-and-alerts": ["st-mary/icu", "synthetic/cleveland", "all sources", "predictions"],
    "models": ["1.0.0", "1.1.0 11111111"],
    "scores": ["mean probability", "mean anomaly"],
    "drift": ["drift", "quality"],
    "audit": ["release", "block-source", "acknowledge", "refused"],
}


def test_every_panel_is_drawn_with_what_it_is_to_show(incidents: Incidents, tmp_path: Path) -> None:
    drawn = set()
    for panel in panels(packaged(SAVED_OBJECTS, incidents.prefix)):
        name = panel.name.rpartition("panel-")[2]
        made = answered(incidents.shipped.client, panel.spec, incidents.bounds)
        text = svg(panel, made)
        assert [each for each in SHOWN[name] if each not in text] == [], name
        (tmp_path / f"{name}.png").write_bytes(png(panel, made))
        drawn.add(name)
    assert drawn == set(SHOWN)


def test_the_matrix_has_the_count_of_each_technique(incidents: Incidents) -> None:
    (panel,) = [each for each in panels(packaged(SAVED_OBJECTS, incidents.prefix)) if each.name.endswith("atlas")]
    text = svg(panel, answered(incidents.shipped.client, panel.spec, incidents.bounds))
    told = Counter(each["threat"]["technique"]["id"][0] for each in current(incidents) if each.get("threat"))
    columns = Counter({id: len(atlas().tactics_of(id)) for id in told})
    wanted = Counter({str(count): 0 for count in told.values()})
    for id, count in told.items():
        wanted[str(count)] += columns[id]
    for shown, times in wanted.items():
        assert text.count(f">{shown}</text>") == times, shown


RULES = {each["rule_id"]: each for each in packaged(DETECTION_RULES)}


@pytest.mark.parametrize("rule_id", RULES)
def test_a_detection_rule_finds_the_alerts_of_its_rule_and_no_others(incidents: Incidents, rule_id: str) -> None:
    (rule,) = [each for each in packaged(DETECTION_RULES, incidents.prefix) if each["rule_id"].endswith(rule_id)]
    query = {
        "bool": {
            "must": [{"query_string": {"query": rule["query"], "analyze_wildcard": True}}],
            "filter": [{"range": {"@timestamp": {"gte": rule["from"], "lte": "now+1h"}}}],
        }
    }
    found = incidents.shipped.client.search(index=rule["index"], query=query, size=1000)["hits"]["hits"]
    sent = [each for each in current(incidents) if each["rule"]["id"] == rule_id.removeprefix("cardiosentry-")]
    assert sent
    assert sorted(hit["_source"]["@timestamp"] for hit in found) == sorted(each["@timestamp"] for each in sent)
    assert {hit["_source"]["rule"]["id"] for hit in found} == {rule_id.removeprefix("cardiosentry-")}
    assert {_SEVERITY[hit["_source"]["event"]["severity"]] for hit in found} == {rule["severity"]}
