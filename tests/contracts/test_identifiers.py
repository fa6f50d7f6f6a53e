"""A pseudonym has a form that no name or record number has, and nobody without the key can make or invert one."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.identifiers import EVENT_ID, PATIENT_ID, is_source, pseudonym

KEY = bytes(range(32))
NUMBERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@given(st.binary(min_size=32, max_size=64), NUMBERS)
def test_a_pseudonym_is_of_its_form_and_the_same_each_time(key: bytes, number: str) -> None:
    made = pseudonym(key, number)
    assert re.fullmatch(PATIENT_ID, made)
    assert made == pseudonym(key, number)


@given(NUMBERS, NUMBERS)
def test_two_patients_never_share_a_pseudonym(one: str, other: str) -> None:
    assume(one != other)
    assert pseudonym(KEY, one) != pseudonym(KEY, other)


@given(NUMBERS, st.integers(0, 255))
def test_another_key_gives_another_pseudonym(number: str, bit: int) -> None:
    other = bytearray(KEY)
    other[bit // 8] ^= 1 << bit % 8
    assert pseudonym(KEY, number) != pseudonym(bytes(other), number)


@given(NUMBERS)
def test_a_pseudonym_is_no_record_number_made_longer(number: str) -> None:
    assume(len(number) > 4)
    assert number not in pseudonym(KEY, number)


RAW = [
    "MRN-0001",
    "12345678",
    "Jane Doe",
    "jane.doe@example.org",
    "943 476 5919",
    "pp1_",
    "pp1_jane_doe",
    "pp1_" + "A" * 26,
]


@pytest.mark.parametrize("text", [*RAW, "pp1_" + "a" * 25, "pp1_" + "a" * 27, "pp1_" + "1" * 26, " pp1_" + "a" * 26])
def test_what_a_hospital_calls_a_patient_is_not_of_the_form(text: str) -> None:
    assert not re.fullmatch(PATIENT_ID, text)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 32 bytes, got 31"):
        pseudonym(KEY[:31], "MRN-0001")


@pytest.mark.parametrize("number", ["", "x" * 201])
def test_a_record_number_is_of_1_to_200_characters(number: str) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to 200 characters, got {len(number)}"):
        pseudonym(KEY, number)


@pytest.mark.parametrize(
    ("text", "valid"),
    {
        "uci": True,
        "uci/cleveland": True,
        "st-marys/ward-3/monitor-07/1": True,
        "0": True,
        "a" * 32: True,
        "": False,
        "a" * 33: False,
        "uci/": False,
        "/uci": False,
        "uci//x": False,
        "a/b/c/d/e": False,
        "UCI": False,
        "-uci": False,
        "uci/-x": False,
        "uci\n": False,
        "uci/../x": False,
        "st mary": False,
        "é": False,
        "uci\0": False,
    }.items(),
)
def test_a_source_is_one_to_four_lower_case_parts(text: str, valid: bool) -> None:
    assert is_source(text) is valid


@pytest.mark.parametrize(
    "text",
    [
        "0E9B7A4C-21F5-4C1F-9D1B-2F3A4B5C6D7E",
        "0e9b7a4c21f54c1f9d1b2f3a4b5c6d7e",
        "0e9b7a4c-21f5-4c1f-9d1b-2f3a4b5c6d7e\n",
        "17",
    ],
)
def test_an_event_id_is_a_uuid_in_its_one_spelling(text: str) -> None:
    assert re.fullmatch(EVENT_ID, "0e9b7a4c-21f5-4c1f-9d1b-2f3a4b5c6d7e")
    assert not re.fullmatch(EVENT_ID, text)
