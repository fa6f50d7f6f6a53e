"""A feature table is sound or does not exist, and the range check is its plain reading, over whole batches."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.features import Feature, FeatureTable, RangeCheck, to_row
from contracts.heart_disease import HEART_DISEASE


def plain_check(table: FeatureTable, row: list[float]) -> str | None:
    """Return the name of the first feature of a row that is out of its range or codes: value by value, no arrays."""
    for feature, value in zip(table.features, row, strict=True):
        if math.isnan(value):
            continue
        if not feature.hard[0] <= value <= feature.hard[1]:
            return feature.name
        if feature.codes and value not in [float(code) for code in feature.codes]:
            return feature.name
    return None


def number(name: str, low: float, high: float) -> Feature:
    return Feature(name=name, title=name, unit="1", hard=(low, high), usual=(low, high))


@st.composite
def tables(draw: st.DrawFn) -> FeatureTable:
    features = []
    for position in range(draw(st.integers(1, 5))):
        low = draw(st.integers(-5, 20))
        high = low + draw(st.integers(1, 12))
        codes = None
        if low >= 0 and draw(st.booleans()):
            chosen = draw(st.sets(st.integers(low, high), min_size=1))
            codes = {str(code): f"code {code}" for code in chosen}
        features.append(
            Feature(name=f"f{position}", title="t", unit="u", hard=(low, high), usual=(low, high), codes=codes)
        )
    return FeatureTable(name="t", version=1, features=tuple(features), max_missing=0)


NEAR = st.integers(-8, 40).map(float) | st.integers(-16, 80).map(lambda n: n / 2)
ANY = NEAR | st.floats() | st.sampled_from([math.nan, -0.0, math.nextafter(3, 4), 1e300, -1e300])


@given(st.data())
@settings(max_examples=200)
def test_the_range_check_says_what_a_plain_reading_of_the_table_says(data: st.DataObject) -> None:
    table = data.draw(tables() | st.just(HEART_DISEASE))
    row = st.lists(ANY, min_size=len(table.features), max_size=len(table.features))
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    expected = {i: name for i, row in enumerate(rows) if (name := plain_check(table, row)) is not None}
    assert RangeCheck(table)(np.array(rows)) == expected


@given(st.lists(st.lists(ANY, min_size=13, max_size=13), min_size=1, max_size=6))
def test_the_range_check_leaves_the_values_as_they_were(rows: list[list[float]]) -> None:
    values = np.array(rows)
    before = values.copy()
    RangeCheck(HEART_DISEASE)(values)
    np.testing.assert_array_equal(values, before)


def test_a_table_without_codes_is_checked_by_its_ranges() -> None:
    table = FeatureTable(name="t", version=1, features=(number("a", 0.5, 1.5), number("b", -1, 1)), max_missing=1)
    assert RangeCheck(table)(np.array([[0.5, 1.0], [0.4, 2.0], [math.nan, -1.1]])) == {1: "a", 2: "b"}


GOOD: dict[str, Any] = {"name": "age", "title": "Age", "unit": "years", "hard": (0.0, 10.0), "usual": (1.0, 9.0)}
BAD_FEATURES: dict[str, tuple[dict[str, Any], str]] = {
    "a name with a space": ({"name": "resting bp"}, "expected a lower-case identifier, got 'resting bp'"),
    "a name in upper case": ({"name": "Age"}, "expected a lower-case identifier"),
    "an empty name": ({"name": ""}, "expected a lower-case identifier"),
    "an endless range": ({"hard": (0.0, math.inf)}, "expected a hard range of two finite numbers"),
    "a range of NaN": ({"hard": (math.nan, 1.0)}, "expected a hard range of two finite numbers"),
    "a range the wrong way round": ({"hard": (10.0, 0.0)}, "low first"),
    "a range of one point": ({"hard": (1.0, 1.0)}, "low first"),
    "a usual range below": ({"usual": (-1.0, 9.0)}, "expected the usual range inside the hard range"),
    "a usual range above": ({"usual": (1.0, 11.0)}, "expected the usual range inside the hard range"),
    "a usual range the wrong way round": ({"usual": (9.0, 1.0)}, "expected the usual range inside"),
    "a usual range of NaN": ({"usual": (math.nan, 9.0)}, "expected the usual range inside"),
    "a code that is a word": ({"codes": {"male": "male"}}, "expected codes of digits"),
    "a code outside the range": ({"codes": {"11": "eleven"}}, "expected codes of digits inside"),
    "codes from a broken number on": ({"hard": (0.5, 10.0), "codes": {"1": "one"}}, "whole numbers"),
}


@pytest.mark.parametrize("name", BAD_FEATURES)
def test_an_unsound_feature_cannot_exist(name: str) -> None:
    change, message = BAD_FEATURES[name]
    Feature(**GOOD)
    with pytest.raises(ValueError, match=message):
        Feature(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("features", "max_missing", "message"),
    [
        ((), 0, "at least one feature"),
        ((number("a", 0, 1), number("a", 0, 2)), 0, "each name once"),
        ((number("a", 0, 1),), 1, "expected max_missing from 0 to 0, got 1"),
        ((number("a", 0, 1),), -1, "expected max_missing from 0 to 0, got -1"),
    ],
)
def test_an_unsound_table_cannot_exist(features: tuple[Feature, ...], max_missing: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureTable(name="t", version=1, features=features, max_missing=max_missing)


def test_a_row_is_in_the_tables_order_with_nan_where_a_value_is_missing() -> None:
    features: dict[str, float | None] = dict(zip(reversed(HEART_DISEASE.names), range(13), strict=True))
    features["thal"] = None
    row = to_row(HEART_DISEASE, features)
    assert list(row[:12]) == list(range(12, 0, -1))
    assert math.isnan(row[12])
