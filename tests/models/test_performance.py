"""What is told of outcomes is what a person would work out by hand, with outcomes and without."""

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from contracts.reference import OUTCOME_STATISTICS, Column, Null, OutcomeReference, ReferenceStatistics
from models.outcomes import OutcomeStatistics, Performance, estimated, outcome_forms, performance, performance_weights
from models.verify import VerifiedBundle

SCORE = Column(
    name="score", coded=False, low=0, high=1, step=0.001, edges=(0.2005, 0.4995), shares=(0.5, 0.25, 0.25, 0)
)
EXPECTED = OutcomeReference(
    positive=(0.1, 0.4, 0.8),
    error_positive=(0.81, 0.36, 0.04),
    error_negative=(0.01, 0.16, 0.64),
    flagged=2,
    nulls={"all": Null(mean=(), sd=(), thresholds=())},
)


@pytest.fixture(scope="module")
def reference(verified: VerifiedBundle) -> ReferenceStatistics:
    assert verified.manifest.reference_statistics is not None
    return verified.manifest.reference_statistics


def test_performance_by_outcomes() -> None:
    found = performance(np.array([10.0, 5.0, 5.0]), np.array([1.0, 2.0, 4.0]), EXPECTED)
    assert found.brier == pytest.approx((0.81 + 9 * 0.01 + 2 * 0.36 + 3 * 0.16 + 4 * 0.04 + 0.64) / 20)
    assert (found.sensitivity, found.specificity, found.precision) == pytest.approx((4 / 7, 12 / 13, 4 / 5))


def test_performance_by_scores_alone_is_that_of_the_outcomes_to_be_expected() -> None:
    assert estimated((10, 5, 5), EXPECTED) == performance(np.array([10.0, 5, 5]), np.array([1.0, 2, 4]), EXPECTED)


def test_of_nobody_nothing_is_said_and_nothing_raised() -> None:
    found = performance(np.zeros(3), np.zeros(3), EXPECTED)
    assert all(np.isnan(value) for value in msgspec.structs.astuple(found))
    assert Performance(0.1, 0.9, float("nan"), 0.5).labels("seen")["seen_specificity"] == "nan"


def test_the_weights_are_how_the_estimates_change_with_the_scores() -> None:
    """To first order, and each in the standard deviation that it has in one event."""
    shares, reference = np.array(SCORE.shares[:-1]), msgspec.structs.replace(EXPECTED, flagged=1)
    weights = performance_weights(SCORE, reference)
    np.testing.assert_allclose(np.square(weights) @ shares, 1)
    before = values_of(estimated(shares.tolist(), reference))
    changes = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])
    slopes = np.array([values_of(estimated((shares + 1e-6 * each).tolist(), reference)) - before for each in changes])
    told = changes @ weights.T
    np.testing.assert_allclose(slopes[0] / told[0], slopes[1] / told[1], rtol=1e-3)
    assert (slopes[0] / told[0] > 0).all()


def values_of(found: Performance) -> npt.NDArray[np.float64]:
    return np.array([found.brier, found.sensitivity, found.precision])


def test_what_other_patients_alone_change_no_statistic_of_outcomes_sees() -> None:
    """Twice as many of high scores, each bin with the outcomes that it should have."""
    forms, owners = outcome_forms(SCORE, EXPECTED)
    events = np.array([100.0, 100.0, 400.0])
    totals = np.concatenate([events, events * EXPECTED.positive])
    np.testing.assert_allclose(forms @ totals, 0, atol=1e-9)
    assert owners.shape == (len(forms), len(OUTCOME_STATISTICS))
    assert (owners.sum(axis=1) == 1).all()


def test_a_form_has_the_variance_of_its_residual_once_in_an_outcome() -> None:
    """All but the bins', which bound rare surprises: simulated outcomes agree."""
    rng = np.random.default_rng(1)
    bins = rng.choice(3, size=200_000, p=SCORE.shares[:-1])
    ones = rng.random(len(bins)) < np.array(EXPECTED.positive)[bins]
    seen = np.zeros((len(bins), 6))
    seen[np.arange(len(bins)), bins] = 1
    seen[ones, 3 + bins[ones]] = 1
    forms, owners = outcome_forms(SCORE, EXPECTED)
    single = owners[:, OUTCOME_STATISTICS.index("bins")] == 0
    values = seen @ forms[single].T
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(values.var(axis=0), 1, atol=0.02)


def test_the_reference_is_that_of_a_model_that_means_what_it_says(reference: ReferenceStatistics) -> None:
    """The expected share of disease lies within its bin's probabilities, give or take what a fit leaves."""
    edges = [0.0, *reference.score.edges, 1.0]
    for low, high, share in zip(edges[:-1], edges[1:], reference.outcomes.positive, strict=True):
        assert low - 0.1 < share < high + 0.1
    assert len(OutcomeStatistics(reference).names) == len(OUTCOME_STATISTICS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flagged": 3}, "more than `flagged`"),
        ({"error_positive": (0.1,)}, "as many shares as errors"),
    ],
)
def test_a_reference_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        msgspec.structs.replace(EXPECTED, **changes)


def test_a_reference_of_other_bins_than_the_scores_is_refused(reference: ReferenceStatistics) -> None:
    with pytest.raises(ValueError, match="outcome reference: expected 10 shares"):
        msgspec.structs.replace(reference, outcomes=msgspec.structs.replace(EXPECTED, nulls=reference.outcomes.nulls))
    with pytest.raises(ValueError, match="expected the null distribution of every statistic"):
        msgspec.structs.replace(reference, outcomes=EXPECTED)
