"""A form checked by table look-ups says what its regular expression says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.identifiers import EVENT_ID, PATIENT_ID
from stream_app.forms import FixedForm

PATTERNS = {pattern: FixedForm(pattern) for pattern in (EVENT_ID, PATIENT_ID, r"p_[ab]{2}", r"[0-9a-f]", r"x")}


@st.composite
def batches(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw a pattern and texts: of its form, nearly of its form, and any."""
    pattern = draw(st.sampled_from(list(PATTERNS)))
    good = st.from_regex(pattern, fullmatch=True)
    length = PATTERNS[pattern].length
    near = st.tuples(good, st.integers(0, length - 1), st.characters()).map(
        lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + 1 :]
    )
    longer = st.tuples(good, st.text(min_size=1, max_size=2)).map("".join)
    same_length = st.text(min_size=length, max_size=length)
    return pattern, draw(st.lists(good | near | longer | same_length | st.text(), max_size=8))


@given(batches())
def test_the_same_texts_are_bad_as_by_the_regular_expression(drawn: tuple[str, list[str]]) -> None:
    pattern, texts = drawn
    expected = [position for position, text in enumerate(texts) if not re.fullmatch(pattern, text)]
    assert PATTERNS[pattern].bad(texts) == expected


@pytest.mark.parametrize(
    "text", ["pp1_" + "a" * 25 + "\n", "pp1_" + "a" * 25 + "?", "pp1_" + "a" * 25 + "á", "\ud800" * 30, ""]
)
def test_no_stand_in_for_a_character_passes(text: str) -> None:
    good = "pp1_" + "a" * 26
    assert PATTERNS[PATIENT_ID].bad([good, text, good]) == [1]


def test_a_form_of_too_many_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at most 8 different character classes, got 9"):
        FixedForm("abcdefghi")
