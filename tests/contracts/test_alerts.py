"""An alert is an ECS document: each field that it can hold is one of ECS's, of the type that ECS gives it."""

import csv
import itertools
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import pytest

from contracts.alerts import Alert, Rule, Severity, alert
from contracts.codec import encode

with (Path(__file__).parent / "data" / "ecs_fields.csv").open() as file:
    ECS = {row["Field"]: (row["Type"], row["Normalization"]) for row in csv.DictReader(file)}

IS: dict[str, set[type]] = {
    "keyword": {str},
    "match_only_text": {str},
    "date": {str},
    "long": {int},
    "float": {int, float},
    "object": {dict},
}

# The event types that ECS expects with a category: https://www.elastic.co/docs/reference/ecs/ecs-allowed-values-event-category
TYPES_OF_CATEGORY = {"threat": {"indicator"}, "process": {"access", "change", "end", "info", "start"}}

RULE = Rule("mac-wrong", "Records changed after signing", "1", "https://example.org/runbooks/mac-wrong")
AT_MS = 1_790_000_000_005


def every_alert() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield an alert of every combination of what `alert` distinguishes, as a reader of the topic sees it."""
    techniques = [None, ("AML.T0043", "Craft Adversarial Data")]
    labels = [None, {"source": "uci/cleveland", "partition": "3"}]
    datasets: tuple[Literal["security", "model"], ...] = ("security", "model")
    for dataset, severity, technique, label in itertools.product(datasets, get_args(Severity), techniques, labels):
        built = alert(
            RULE,
            "three in a minute",
            at_ms=AT_MS,
            dataset=dataset,
            severity=severity,
            technique=technique,
            labels=label,
            first_ms=AT_MS - 1000 if label else None,
            id="7f" * 16 if label else None,
            ended=label is not None,
        )
        yield f"{dataset}-{severity}-{bool(technique)}-{bool(label)}", json.loads(encode(built))


ALERTS = dict(every_alert())


def leaves(document: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        field = f"{path}.{name}" if path else name
        if isinstance(value, dict) and field not in ECS:
            yield from leaves(value, field)
        elif value is not None:
            yield field, value


@pytest.mark.parametrize("name", ALERTS)
def test_every_field_is_one_of_ecs_and_of_its_type(name: str) -> None:
    assert_ecs(ALERTS[name])
    dates = [ALERTS[name]["event"].get(field) for field in ("created", "start", "end")]
    assert {datetime.fromisoformat(date).timestamp() * 1000 for date in dates if date} <= {AT_MS, AT_MS - 1000}


def assert_ecs(document: dict[str, Any]) -> None:
    """Assert that every field of an alert is one of ECS, and of its type."""
    for field, value in leaves(document):
        assert field in ECS, f"{field}: not a field of ECS"
        kind, normalization = ECS[field]
        if normalization == "array":
            assert isinstance(value, list), f"{field}: ECS wants an array"
        elements: list[Any] = value if isinstance(value, list) else [value]
        for element in elements:
            assert type(element) in IS[kind], f"{field}: ECS wants {kind}, got {element!r}"
            if kind == "date":
                assert datetime.fromisoformat(element).tzinfo is not None
            if kind == "object":
                assert all(isinstance(label, str) for label in element.values())


@pytest.mark.parametrize("name", ALERTS)
def test_category_and_type_are_a_pair_that_ecs_allows(name: str) -> None:
    event = ALERTS[name]["event"]
    assert event["kind"] == "alert"
    for category in event["category"]:
        assert set(event["type"]) <= TYPES_OF_CATEGORY[category]


@pytest.mark.parametrize("dataset", ["security", "model"])
def test_a_graver_severity_has_the_higher_number_and_risk_score(dataset: str) -> None:
    ordered = [
        ALERTS[f"{dataset}-{severity}-False-False"]["event"] for severity in ("low", "medium", "high", "critical")
    ]
    for field, highest in (("severity", 4), ("risk_score", 99)):
        numbers = [event[field] for event in ordered]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == highest


def test_the_time_is_written_in_utc_to_the_millisecond() -> None:
    document = ALERTS["security-low-False-False"]
    assert document["@timestamp"] == document["event"]["created"] == "2026-09-21T14:13:20.005Z"


def test_a_technique_is_named_by_its_atlas_id() -> None:
    threat = ALERTS["security-high-True-False"]["threat"]
    assert threat["framework"] == "MITRE ATLAS"
    assert all(re.fullmatch(r"AML\.T\d{4}(\.\d{3})?", technique) for technique in threat["technique"]["id"])
    assert ALERTS["security-high-False-False"]["threat"] is None


@pytest.mark.parametrize("name", ALERTS)
def test_a_reader_decodes_what_was_written(name: str) -> None:
    document = encode(ALERTS[name])
    assert json.loads(encode(msgspec.json.decode(document, type=Alert))) == ALERTS[name]
