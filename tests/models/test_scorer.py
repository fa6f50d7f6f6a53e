"""The scorer: a batch scores as its rows one by one, whatever is in them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from contracts.heart_disease import HEART_DISEASE
from models.dataset import load_dataset
from models.scorer import Scorer
from models.verify import VerifiedBundle

FEATURES = len(HEART_DISEASE.features)


@pytest.fixture(scope="module")
def scorer(verified: VerifiedBundle) -> Scorer:
    return Scorer(verified)


@given(
    values=arrays(
        np.float32,
        st.tuples(st.integers(1, 200), st.just(FEATURES)),
        elements=st.floats(-1e6, 1e6, width=32) | st.just(float("nan")),
        fill=st.floats(0, 300, width=32),
    )
)
@settings(max_examples=60, deadline=None)
def test_a_batch_scores_exactly_as_its_rows_one_by_one(scorer: Scorer, values: np.ndarray) -> None:
    batch = scorer.score(values)
    one_by_one = np.concatenate([scorer.score(row[None]) for row in values])
    assert batch.dtype == np.float32
    assert batch.shape == (len(values),)
    assert (batch == one_by_one).all()
    assert ((batch >= 0) & (batch <= 1)).all()


def test_uci_batches_of_every_size_score_as_rows_do(scorer: Scorer) -> None:
    x = load_dataset().x
    rows = np.concatenate([scorer.score(row[None]) for row in x])
    for size in (2, 7, 64, 500, len(x)):
        batches = [scorer.score(x[start : start + size]) for start in range(0, len(x), size)]
        assert (np.concatenate(batches) == rows).all()


def test_the_ill_score_higher(scorer: Scorer) -> None:
    dataset = load_dataset()
    probability = scorer.score(dataset.x)
    assert probability[dataset.y == 1].mean() > probability[dataset.y == 0].mean() + 0.3


def test_a_missing_value_scores_as_the_median_of_its_column(scorer: Scorer) -> None:
    x = load_dataset().distinct().x
    gaps = np.full((1, FEATURES), np.nan, dtype=np.float32)
    medians = np.nanmedian(x, axis=0)[None].astype(np.float32)
    assert scorer.score(gaps).tolist() == scorer.score(medians).tolist()


def test_no_rows_give_no_probabilities(scorer: Scorer) -> None:
    assert scorer.score(np.empty((0, FEATURES), dtype=np.float32)).shape == (0,)


@pytest.mark.parametrize("shape", [(FEATURES,), (3, FEATURES - 1), (3, FEATURES + 1)])
def test_another_shape_is_refused(scorer: Scorer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected the shape"):
        scorer.score(np.zeros(shape, dtype=np.float32))


def test_the_scorer_says_which_bundle_it_is(scorer: Scorer, verified: VerifiedBundle) -> None:
    assert scorer.bundle is verified
