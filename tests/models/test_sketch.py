"""Sketches add up to the same in any order, and hold what their events say."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.reference import Column
from models.sketch import Sketch, Sketcher, grades

COLUMNS = (
    Column(name="dose", coded=False, low=0, high=10, step=0.1, edges=(2.05, 5.05), shares=(0.3, 0.3, 0.3, 0.1)),
    Column(name="kind", coded=True, low=3, high=7, step=1, edges=(4.5, 6.5), shares=(0.5, 0.2, 0.3, 0)),
    Column(name="score", coded=False, low=0, high=1, step=0.001, edges=(0.5005,), shares=(0.5, 0.5, 0)),
    Column(name="missing", coded=False, low=0, high=2, step=1, edges=(0.5,), shares=(0.9, 0.1, 0)),
)
SKETCHER = Sketcher(COLUMNS)
EVENT = st.tuples(
    st.sampled_from([np.nan, -1.0, 0.0, 2.0, 2.1, 5.0, 5.1, 10.0, 99.0]), st.sampled_from([np.nan, 3.0, 6.0, 7.0])
)
EVENTS = st.lists(EVENT, max_size=30)


def sketch(events: list[tuple[float, float]]) -> Sketch:
    values = np.array(events, dtype=np.float64).reshape(len(events), 2)
    return SKETCHER.sketch(values, np.nan_to_num(values[:, 0]) / 100)


@given(EVENTS, EVENTS, EVENTS)
@settings(deadline=None)
def test_the_sketch_of_all_is_the_sum_of_the_parts_in_any_order(
    a: list[tuple[float, float]], b: list[tuple[float, float]], c: list[tuple[float, float]]
) -> None:
    whole = sketch(a + b + c)
    assert whole == (sketch(a) + sketch(b)) + sketch(c) == sketch(c) + (sketch(b) + sketch(a))
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Sketch, strict=True) == whole


@given(st.lists(EVENT, min_size=12, max_size=12))
def test_windows_made_at_once_are_those_made_one_by_one(events: list[tuple[float, float]]) -> None:
    values = np.array(events)
    slots = SKETCHER.slots(values, np.zeros(12))
    at_once = SKETCHER.window_totals(slots, 4)
    one_by_one = [SKETCHER.sketch(values[at : at + 4], np.zeros(4)).totals for at in (0, 4, 8)]
    np.testing.assert_array_equal(at_once, one_by_one)


@pytest.mark.parametrize(
    ("dose", "kind", "bins"),
    [
        (2.0, 3, [0, 4]),
        (2.1, 6, [1, 5]),
        (5.0, 7, [1, 6]),
        (99.0, 3, [2, 4]),
        (-1.0, 3, [0, 4]),
        (np.nan, np.nan, [3, 7]),
    ],
)
def test_a_value_counts_in_its_bin(dose: float, kind: float, bins: list[int]) -> None:
    found = SKETCHER.sketch(np.array([[dose, kind]]), np.array([0.7]))
    missing = int(np.isnan([dose, kind]).any())
    assert np.flatnonzero(found.totals[:14]).tolist() == [*bins, 9, 11 + missing]


def test_the_product_of_two_features_is_that_of_their_grades() -> None:
    dose, kind = grades(COLUMNS[0]), grades(COLUMNS[1])
    assert dose.tolist() == [-16.0 * 0.9375, 0.0, 16.0 * 0.9375, 0.0]
    found = SKETCHER.sketch(np.array([[9.0, 7.0], [9.0, np.nan], [1.0, 3.0]]), np.zeros(3))
    assert found.totals[14:] == (int(dose[2] * kind[2] + dose[0] * kind[0]),)


def test_sketches_of_other_columns_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="expected 2 totals, got 1"):
        Sketch(1, (1, 2)) + Sketch(1, (1,))


def test_a_matrix_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected values of the shape \(3, 2\), got \(3, 5\)"):
        SKETCHER.sketch(np.zeros((3, 5)), np.zeros(3))
