"""Every document fits the mapping that is made from its type, and nothing that no type names is shipped."""

import json
import runpy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.codec import encode
from contracts.errors import InvalidRecord, UserError
from contracts.topics import TOPICS
from monitoring.elastic.documents import PredictionDocument, prediction, quarantined
from monitoring.elastic.mappings import ecs_types, fields, mapping
from monitoring.elastic.streams import STREAMS, Names, Stream
from tests.support.process import ROOT
from tests.support.shipping import prediction as made_prediction

HEADERS = {"cs-reason": b"schema", "cs-origin": b"patient-events/0/1", "cs-digest": b"sha256:" + b"0" * 64}


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_every_mapping_is_strict_and_has_a_time(stream: Stream) -> None:
    made = mapping(stream.document)
    assert made["dynamic"] == "strict"
    assert made["properties"]["@timestamp"]["type"] == "date"


def test_a_field_has_one_type_in_every_index() -> None:
    types: dict[str, set[str]] = {}
    for stream in STREAMS:
        for name, kind in fields(stream.document).items():
            types.setdefault(name, set()).add(kind)
    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}


def test_a_field_of_ecs_has_its_type_and_others_stand_under_our_name() -> None:
    plain = {"match_only_text": "text", "wildcard": "keyword"}
    for stream in STREAMS:
        for name, kind in fields(stream.document).items():
            if not name.startswith("cardiosentry."):
                assert kind == plain.get(ecs_types()[name], ecs_types()[name]), name


def test_a_type_without_a_place_in_a_mapping_is_refused() -> None:
    unknown = msgspec.defstruct("Unknown", [("patient_name", str)])
    with pytest.raises(TypeError, match="patient_name: expected a field of ECS"):
        mapping(unknown)


@settings(deadline=None)
@given(st.integers(0, 2**40), st.none() | st.floats(0, 1), st.integers(0, 13))
def test_a_prediction_is_shipped_as_it_is(at_ms: int, probability: float | None, missing: int) -> None:
    value = msgspec.structs.replace(made_prediction(1, at_ms), probability=probability, missing=missing)
    document = msgspec.json.decode(prediction(encode(value)), type=PredictionDocument)
    assert document == PredictionDocument(at_ms, {"source": value.source}, value)


def test_a_field_that_no_contract_names_is_not_shipped() -> None:
    value = {**json.loads(encode(made_prediction(1, 0))), "name": "Jane Doe"}
    assert b"Jane" not in prediction(encode(value))


@pytest.mark.parametrize("value", [b"", b"null", b"{", b"\xff", b"[" * 100_000, b'{"event_id":"Jane"}'], ids=repr)
def test_what_is_no_prediction_is_told_without_its_content(value: bytes) -> None:
    with pytest.raises(InvalidRecord) as raised:
        prediction(value)
    assert "Jane" not in raised.value.detail


@pytest.mark.parametrize(
    "changes",
    [{"cs-reason": b"Jane"}, {"cs-origin": b"Jane Doe"}, {"cs-digest": b""}, {"cs-origin": b"a" * 500 + b"/0/0"}],
    ids=str,
)
def test_a_quarantined_record_is_shipped_by_headers_of_their_form_alone(changes: dict[str, bytes]) -> None:
    kept = json.loads(quarantined({**HEADERS, "cs-detail": b"Jane"}, 5))
    assert kept == {
        "@timestamp": 5,
        "cardiosentry": {name[3:]: value.decode() for name, value in HEADERS.items()},
    }
    with pytest.raises(InvalidRecord):
        quarantined({**HEADERS, **changes}, 5)


@pytest.mark.parametrize(
    ("at_ms", "day"),
    [(0, "1970.01.01"), (86_399_999, "1970.01.01"), (86_400_000, "1970.01.02"), (-1, ""), (10**17, "")],
)
def test_an_index_is_named_by_the_utc_day(at_ms: int, day: str) -> None:
    names = Names("site-a-")
    if day:
        assert names.index(STREAMS[0], at_ms) == f"site-a-cardiosentry-predictions-{day}"
    else:
        with pytest.raises(ValueError, match="1970 to 9999"):
            names.index(STREAMS[0], at_ms)


@pytest.mark.parametrize("prefix", ["Site-A-", "-a", "_a", "a*", "é"])
def test_a_prefix_that_no_index_may_have_is_told(prefix: str) -> None:
    with pytest.raises(UserError, match="topic_prefix"):
        Names(prefix)


def test_no_topic_with_patients_features_is_shipped() -> None:
    shipped = {stream.topic.name for stream in STREAMS if stream.topic}
    assert shipped == {topic.name for topic in TOPICS} - {
        *("patient-events", "patient-outcomes", "detection-signals", "ship-rejects")
    }


def test_no_two_patterns_match_one_index() -> None:
    names: Any = Names()
    prefixes = [names.pattern(stream)[:-1] for stream in STREAMS]
    for stream in STREAMS:
        assert [prefix for prefix in prefixes if names.index(stream, 0).startswith(prefix)] == [f"{names.of(stream)}-"]


def test_the_page_of_fields_is_current() -> None:
    file = ROOT / "docs" / "write_shipping.py"
    made = runpy.run_path(str(file))["page"]()
    assert file.with_name("shipping-fields.md").read_text("utf-8") == made, "run: python docs/write_shipping.py"
