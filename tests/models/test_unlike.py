"""How unlike a reference one event is."""

import numpy as np
import pytest

from contracts.reference import LIKENESS_GRID
from models.unlike import Unlike, make_likeness

RNG = np.random.default_rng(8)
MIXING = np.array([[1.0, 0.0, 0.0], [0.9, 0.436, 0.0], [0.0, 0.0, 3.0]])


def drawn(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return patients whose first two values go together."""
    values: np.ndarray[tuple[int, int], np.dtype[np.float64]] = RNG.normal(size=(count, 3)) @ MIXING.T + 5
    return values


LIKENESS = make_likeness(drawn(50_000), drawn(50_000))


def test_shares_are_those_of_the_reference() -> None:
    shares = Unlike(LIKENESS)(drawn(50_000))
    for share in (0.1, 0.5, 0.9, 0.99):
        assert np.mean(shares < share) == pytest.approx(share, abs=0.01)


def test_values_that_do_not_go_together_are_unusual_though_each_is_common() -> None:
    together, apart = Unlike(LIKENESS)(np.array([[6.5, 6.5, 5.0], [6.5, 3.5, 5.0]]))
    assert together < 0.6
    assert apart > 0.99


def test_what_is_missing_is_not_unusual_and_what_is_beyond_everything_is_at_the_end_of_the_scale() -> None:
    nothing, huge = Unlike(LIKENESS)(np.array([[np.nan, np.nan, np.nan], [1e300, -1e300, np.inf]]))
    assert nothing == pytest.approx(0, abs=1e-9)
    assert huge == LIKENESS_GRID[-1]


def test_a_feature_that_nobody_has_counts_for_nothing() -> None:
    values = drawn(20_000)
    values[:, 2] = np.nan
    unlike = Unlike(make_likeness(values, values))
    assert unlike(np.array([[5.0, 5.0, 9.0]]))[0] <= LIKENESS_GRID[-1]
