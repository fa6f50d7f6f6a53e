"""What the console counts is what came in its span, in bounded memory, whatever the order and the clock."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.console import latency
from monitoring.console.ring import Ring

SLOTS, STEP_MS = 5, 100

arrivals = st.lists(
    st.tuples(st.integers(0, 400), st.integers(-1500, 300), st.integers(1, 9)),  # time since the last, age, count
    max_size=40,
)


@given(arrivals=arrivals, wait_ms=st.integers(0, 1200))
def test_a_ring_holds_what_came_within_its_span(arrivals: list[tuple[int, int, int]], wait_ms: int) -> None:
    ring, now_ms, kept = Ring(1, slots=SLOTS, step_ms=STEP_MS), 1_000_000, []
    for passed_ms, off_ms, count in arrivals:
        now_ms += passed_ms
        at_ms = now_ms + off_ms
        ring.add(at_ms, [count], now_ms=now_ms)
        if at_ms // STEP_MS > now_ms // STEP_MS - SLOTS:
            kept.append((min(at_ms // STEP_MS, now_ms // STEP_MS), count))
    now_ms += wait_ms
    newest = now_ms // STEP_MS
    expected = [sum(count for slot, count in kept if slot == each) for each in range(newest - SLOTS + 1, newest + 1)]
    assert ring.series(now_ms).ravel().tolist() == expected
    assert ring.total(now_ms).tolist() == [sum(expected)]
    first = next((slot for slot in range(newest - SLOTS + 1, newest + 1) if expected[slot - newest - 1]), None)
    assert ring.covered_ms(now_ms) == (0 if first is None else now_ms - first * STEP_MS)


def test_a_clock_that_goes_back_loses_nothing() -> None:
    ring = Ring(1, slots=SLOTS, step_ms=STEP_MS)
    ring.add(1000, [1], now_ms=1000)
    ring.add(800, [1], now_ms=800)
    assert ring.total(1000).tolist() == [2]


@given(
    values=st.lists(st.integers(1, 3_000_000), min_size=1, max_size=200),
    share=st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]),
)
def test_a_quantile_is_within_a_tenth_of_the_value_itself(values: list[int], share: float) -> None:
    found = latency.quantile(latency.bins_of(values), share)
    true = sorted(values)[max(0, int(np.ceil(share * len(values) - 1e-9)) - 1)]
    assert found == pytest.approx(true, rel=0.1)


def test_clocks_that_disagree_and_no_values_at_all_have_a_quantile_of_their_own() -> None:
    assert latency.quantile(latency.bins_of([-50, -1]), 0.5) == 1.0
    assert latency.quantile(latency.bins_of([]), 0.5) is None
    assert latency.bins_of([10**15]).tolist()[-1] == 1
