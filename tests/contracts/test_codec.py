"""The codec takes what the contracts describe and nothing else, and its errors never repeat what the record held."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.codec import decoder, encode, explain
from contracts.errors import InvalidRecord
from contracts.events import Outcome, event_type
from contracts.heart_disease import HEART_DISEASE
from contracts.reasons import Reason

decode_event = decoder(event_type(HEART_DISEASE))
decode_outcome = decoder(Outcome)

EVENT: dict[str, Any] = {
    "event_id": "0e9b7a4c-21f5-4c1f-9d1b-2f3a4b5c6d7e",
    "patient_id": "pp1_" + "a" * 26,
    "source": "uci/cleveland",
    "observed_at": 1_790_000_000_000,
    "features": dict.fromkeys(HEART_DISEASE.names, 1.0),
}
OUTCOME: dict[str, Any] = {
    "event_id": EVENT["event_id"],
    "patient_id": EVENT["patient_id"],
    "source": "uci/cleveland",
    "diagnosis": 1,
    "recorded_at": 1_790_000_000_000,
}

# Everything that a detail may say: our own field names and types, and nothing else.
_FIELDS = "|".join({*EVENT, *OUTCOME, *HEART_DISEASE.names})
_TYPE = "object|array|int|float|str|bool|null"
_AT = rf"( - at `\$((\.features)?\.({_FIELDS}))?`)?"
OUR_WORDS = re.compile(
    rf"(expected `({_TYPE})( \| ({_TYPE}))*`, got `({_TYPE})`"
    rf"|object missing required field `({_FIELDS})`|number out of range|expected no invalid value){_AT}"
    r"|expected no unknown field|expected UTF-8|expected one JSON object|expected nesting of a few levels"
)


def error_of(value: bytes, outcome: bool = False) -> InvalidRecord | None:
    """Return what a decoder says of a value, None if it takes it."""
    try:
        (decode_outcome if outcome else decode_event)(value)
    except Exception as error:
        return explain(error)
    return None


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def test_an_event_with_every_feature_present_or_null_is_taken() -> None:
    assert error_of(text(EVENT)) is None
    assert error_of(text({**EVENT, "features": dict.fromkeys(HEART_DISEASE.names)})) is None
    assert error_of(text(OUTCOME), outcome=True) is None


def test_an_encoded_event_decodes_to_itself() -> None:
    event = decode_event(text(EVENT))
    assert decode_event(encode(event)) == event


FEATURES = EVENT["features"]
REFUSED: dict[str, tuple[bytes, Reason]] = {
    "no object": (b"17", Reason.SCHEMA),
    "a string": (b'"Jane Doe"', Reason.SCHEMA),
    "nothing but space": (b"  ", Reason.NOT_JSON),
    "a byte order mark": (b"\xef\xbb\xbf" + text(EVENT), Reason.NOT_JSON),
    "UTF-16": (json.dumps(EVENT).encode("utf-16"), Reason.NOT_JSON),
    "something behind the object": (text(EVENT) + b"x", Reason.NOT_JSON),
    "a trailing comma": (text(EVENT)[:-1] + b",}", Reason.NOT_JSON),
    "a comment": (b"/* */" + text(EVENT), Reason.NOT_JSON),
    "single quotes": (text(EVENT).replace(b'"', b"'"), Reason.NOT_JSON),
    "a lone surrogate": (text({**EVENT, "source": "\ud800"}), Reason.NOT_JSON),
    "a surrogate in UTF-8": (text(EVENT).replace(b"uci", b"\xed\xa0\x80"), Reason.NOT_UTF8),
    "an overlong form": (text(EVENT).replace(b"uci", b"\xc0\xaf"), Reason.NOT_UTF8),
    "NaN": (text({**EVENT, "features": {**FEATURES, "age": float("nan")}}), Reason.NOT_JSON),
    "infinity": (text({**EVENT, "features": {**FEATURES, "age": float("inf")}}), Reason.NOT_JSON),
    "a number beyond float64": (text(EVENT).replace(b"1.0", b"1e999"), Reason.SCHEMA),
    "a whole number beyond float64": (text(EVENT).replace(b"1.0", b"9" * 400), Reason.SCHEMA),
    "a number of more digits than Python takes": (text(EVENT).replace(b"1.0", b"9" * 5000), Reason.SCHEMA),
    "a time of more digits than Python takes": (text(EVENT).replace(b"1790000000000", b"9" * 5000), Reason.SCHEMA),
    "a time with a fraction": (text({**EVENT, "observed_at": 1.5}), Reason.SCHEMA),
    "a time as text": (text({**EVENT, "observed_at": "1790000000000"}), Reason.SCHEMA),
    "a time that is null": (text({**EVENT, "observed_at": None}), Reason.SCHEMA),
    "a boolean for a code": (text({**EVENT, "features": {**FEATURES, "sex": True}}), Reason.SCHEMA),
    "features as a list": (text({**EVENT, "features": [1.0] * 13}), Reason.SCHEMA),
    "features that are null": (text({**EVENT, "features": None}), Reason.SCHEMA),
    "a field of another case": (text({**EVENT, "Source": "uci"}), Reason.SCHEMA),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_described_is_refused_for_its_reason(name: str) -> None:
    value, reason = REFUSED[name]
    error = error_of(value)
    assert error is not None
    assert error.reason is reason
    assert OUR_WORDS.fullmatch(error.detail), error.detail


@pytest.mark.parametrize("field", EVENT)
def test_every_field_of_an_event_is_required(field: str) -> None:
    error = error_of(text({name: value for name, value in EVENT.items() if name != field}))
    assert error is not None
    assert error.detail == f"object missing required field `{field}`"


@pytest.mark.parametrize("feature", HEART_DISEASE.names)
def test_every_feature_is_required_even_where_it_is_missing(feature: str) -> None:
    error = error_of(text({**EVENT, "features": {n: v for n, v in FEATURES.items() if n != feature}}))
    assert error is not None
    assert error.detail == f"object missing required field `{feature}` - at `$.features`"


@pytest.mark.parametrize("diagnosis", [2, -1, 0.5, "1", None, True, 10**30])
def test_a_diagnosis_is_nought_or_one(diagnosis: object) -> None:
    error = error_of(text({**OUTCOME, "diagnosis": diagnosis}), outcome=True)
    assert error is not None
    assert error.reason is Reason.SCHEMA
    assert OUR_WORDS.fullmatch(error.detail), error.detail


NAMES = st.text(min_size=1) | st.from_regex(r"[a-z_ `.$@-]{1,40}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(NAMES, VALUES)
@example("x` - at `$.jane_doe", 1)
@example("x - at `$.jane_doe", 1)
@example("Expected `jane`, got `doe", 1)
@example("unknown field", "unknown field")
def test_no_error_repeats_an_unknown_fields_name_or_value(name: str, value: object) -> None:
    for spoiled in (
        {**EVENT, name: value},
        {**EVENT, "features": {**FEATURES, name: value}},
        {name: value},
        [name, value],
    ):
        error = error_of(text(spoiled))
        assert error is None or OUR_WORDS.fullmatch(error.detail), error.detail


@given(st.sampled_from(["event_id", "patient_id", "source", "observed_at", "features", *HEART_DISEASE.names]), VALUES)
def test_no_error_repeats_a_value_in_the_place_of_another(field: str, value: object) -> None:
    inside = {**EVENT, "features": {**FEATURES, field: value}} if field in FEATURES else {**EVENT, field: value}
    error = error_of(text(inside))
    assert error is None or OUR_WORDS.fullmatch(error.detail), error.detail
    error = error_of(text({**OUTCOME, "diagnosis": value}), outcome=True)
    assert error is None or OUR_WORDS.fullmatch(error.detail), error.detail


@given(st.binary() | st.tuples(st.binary(max_size=40), st.integers(0, 400)).map(lambda t: cut_in(*t)))
def test_any_bytes_are_taken_or_refused_and_nothing_else_is_raised(value: bytes) -> None:
    error = error_of(value)
    assert error is None or OUR_WORDS.fullmatch(error.detail), error.detail


def cut_in(garbage: bytes, position: int) -> bytes:
    whole = text(EVENT)
    return whole[:position] + garbage + whole[position + len(garbage) :]


def test_what_no_decoder_raises_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        explain(ZeroDivisionError())


def test_a_feature_with_digits_in_its_name_is_named_in_errors() -> None:
    features = msgspec.structs.replace(HEART_DISEASE.features[0], name="b12")
    table = msgspec.structs.replace(HEART_DISEASE, features=(features,), max_missing=0, limits=(), needs={})
    decode = decoder(event_type(table))
    for value, detail in (
        ({"b12": "x"}, "expected `float | null`, got `str` - at `$.features.b12`"),
        ({}, "object missing required field `b12` - at `$.features`"),
    ):
        with pytest.raises(msgspec.ValidationError) as caught:
            decode(text({**EVENT, "features": value}))
        assert explain(caught.value).detail == detail
