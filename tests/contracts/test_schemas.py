"""The published JSON Schemas are current, take what we write, and refuse what a schema can refuse."""

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from contracts.alerts import Rule, alert
from contracts.codec import encode
from contracts.errors import InvalidRecord
from contracts.events import ModelRef, Prediction
from contracts.features import RangeCheck, to_row
from contracts.heart_disease import HEART_DISEASE
from contracts.reasons import Reason
from contracts.schema import schemas
from contracts.topics import EVENTS, OUTCOMES, PREDICTIONS, QUARANTINE, TOPICS
from producers.malformed import spoil
from producers.malformed_cases import CASES, Case
from producers.replay import replay
from stream_app.quarantine import Sealer, frame
from tests.producers.support import AT_MS, PSEUDONYM_KEY, synthetic

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"

VALIDATORS = {
    path.stem: jsonschema.Draft202012Validator(json.loads(path.read_text("utf-8"))) for path in PUBLISHED.glob("*.json")
}


def valid(topic: str, document: object) -> bool:
    return VALIDATORS[topic].is_valid(document)


def test_what_is_published_is_what_the_contracts_say() -> None:
    published = {topic: validator.schema for topic, validator in VALIDATORS.items()}
    assert published == schemas(HEART_DISEASE), "run: python docs/schemas/write.py"


def test_every_topic_is_described() -> None:
    assert set(VALIDATORS) == {topic.name for topic in TOPICS}


@pytest.mark.parametrize("topic", VALIDATORS)
def test_each_is_a_schema_of_its_dialect(topic: str) -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATORS[topic].schema)


def test_every_uci_patient_and_outcome_is_taken() -> None:
    records = replay(pseudonym_key=PSEUDONYM_KEY, seed=1, outcome_delay_s=1.0).take(1000, AT_MS)
    assert {record.topic for record in records} == {EVENTS, OUTCOMES}
    for record in records:
        VALIDATORS[record.topic.name].validate(json.loads(record.value or b""))


# What only the worker can know: the bytes before they are JSON, the key, the headers, the time.
BEYOND_A_SCHEMA = {
    Reason.HEADERS,
    *(Reason.EMPTY, Reason.NOT_UTF8, Reason.NOT_JSON, Reason.KEY_MISMATCH, Reason.FUTURE, Reason.REPEATED),
    *(Reason.MAC_MISSING, Reason.MAC_KEY_UNKNOWN, Reason.MAC_WRONG, Reason.SOURCE_NOT_BOUND, Reason.BLOCKED),
}
SCHEMA_CASES = [case for case in CASES if case.reason not in BEYOND_A_SCHEMA]


def test_a_schema_catches_most_kinds_of_malformed_records() -> None:
    assert {case.reason for case in SCHEMA_CASES} == set(Reason) - BEYOND_A_SCHEMA
    assert len(SCHEMA_CASES) >= 15


@pytest.mark.parametrize("case", SCHEMA_CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("seed", range(3))
def test_a_malformed_event_is_not_valid(case: Case, seed: int) -> None:
    good = synthetic().take(1, AT_MS)[0]
    assert valid(EVENTS.name, json.loads(good.value or b""))
    bad = spoil(case, random.Random(seed), good).value or b""
    try:
        document = json.loads(bad)
    except RecursionError:  # nested too deeply for a parser that recurses: refused before any schema
        document = bad.decode()
    assert not valid(EVENTS.name, document)


NUMBERS = st.none() | st.integers(-20, 320) | st.floats(-20, 320, allow_nan=False)


@given(st.lists(NUMBERS, min_size=13, max_size=13))
def test_the_schema_and_the_worker_agree_on_every_features_range(values: list[float | None]) -> None:
    features = dict(zip(HEART_DISEASE.names, values, strict=True))
    event = json.loads(synthetic().take(1, AT_MS)[0].value or b"")
    in_range = not RangeCheck(HEART_DISEASE)(np.array([to_row(HEART_DISEASE, features)]))
    assert valid(EVENTS.name, {**event, "features": features}) == in_range


def prediction(**changes: Any) -> dict[str, Any]:
    model = msgspec.Raw(encode(ModelRef("heart-disease-uci", "1", "sha256:" + "0" * 64)))
    made = Prediction(
        event_id="0e9b7a4c-21f5-4c1f-9d1b-2f3a4b5c6d7e",
        patient_id="pp1_" + "a" * 26,
        source="st-mary/icu",
        model=model,
        role="champion",
        probability=0.5,
        decision="positive",
        threshold=0.4,
        authenticated=True,
        missing=0,
        anomaly=0.5,
        observed_at=AT_MS,
        scored_at=AT_MS,
    )
    return {**json.loads(encode(made)), **changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"decision": "insufficient_data", "probability": None, "anomaly": None, "missing": 7}, True),
        ({"anomaly": 1.5}, False),
        ({"a field of a later version": 1}, True),
        ({"decision": "insufficient_data"}, False),
        ({"probability": None}, False),
        ({"probability": 1.01}, False),
        ({"decision": "maybe"}, False),
        ({"authenticated": None}, False),
        ({"model": "heart-disease-uci"}, False),
        ({"patient_id": "Jane Doe"}, False),
    ],
    ids=str,
)
def test_a_prediction_has_a_probability_unless_there_was_too_little_to_judge(
    changes: dict[str, Any], expected: bool
) -> None:
    assert valid(PREDICTIONS.name, prediction(**changes)) is expected


@pytest.mark.parametrize("dataset", ["security", "model"])
@pytest.mark.parametrize("technique", [None, ("AML.T0043", "Craft Adversarial Data")])
def test_an_alert_is_taken_with_and_without_a_technique(dataset: Any, technique: tuple[str, str] | None) -> None:
    rule = Rule("r", "A rule", "1", "https://example.org/r")
    made = json.loads(encode(alert(rule, "why", at_ms=AT_MS, dataset=dataset, severity="high", technique=technique)))
    assert valid(f"{dataset}-alerts", made)
    assert not valid(f"{dataset}-alerts", {name: value for name, value in made.items() if name != "rule"})
    assert not valid(f"{dataset}-alerts", {**made, "labels": {"patients": 3}})


@pytest.mark.parametrize("reason", Reason)
def test_the_headers_of_a_quarantined_record_are_as_described(reason: Reason) -> None:
    sealer = Sealer(X25519PrivateKey.generate().public_key())
    error = InvalidRecord(reason, "expected one JSON object")
    (made,) = sealer.seal([(error, "site-a.patient-events/0/17", frame(b"k", None))])
    headers = {name: value.decode("latin-1") for name, value in made.headers}
    VALIDATORS[QUARANTINE.name].validate(headers)
    assert not valid(QUARANTINE.name, {**headers, "cs-reason": "because"})
    assert not valid(QUARANTINE.name, {**headers, "cs-patient": "x"})
