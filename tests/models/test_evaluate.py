"""Evaluation: figures as scikit-learn computes them, and no patient on both sides of a split."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from contracts.features import Matrix
from models.dataset import DATA_FILE, Dataset, load_dataset
from models.evaluate import (
    cross_validate,
    leave_site_out,
    logistic_regression,
    predict_out_of_fold,
    random_splits,
    site_splits,
)
from models.fit import Labels, Vector, fit
from models.metrics import auc, figures, resample, summarise
from models.train import DEFAULT_SEED

CARD = Path(__file__).parents[2] / "docs" / "model-card.md"


@pytest.fixture(scope="module")
def patients() -> Dataset:
    return load_dataset().distinct()


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_scikit_learns_for_weighted_patients_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=60)
    probability = rng.integers(10, size=60) / 10
    positive = probability >= 0.4
    counts = resample(60, seed, resamples=3)
    found = figures(counts, y, probability, positive)
    for row, weight in enumerate(counts):
        expected = {
            "auc": reference.roc_auc_score(y, probability, sample_weight=weight),
            "brier": reference.brier_score_loss(y, probability, sample_weight=weight),
            "recall": reference.recall_score(y, positive, sample_weight=weight),
            "specificity": reference.recall_score(y, positive, sample_weight=weight, pos_label=0),
            "precision": reference.precision_score(y, positive, sample_weight=weight),
            "npv": reference.precision_score(y, positive, sample_weight=weight, pos_label=0),
            "accuracy": reference.accuracy_score(y, positive, sample_weight=weight),
        }
        assert {name: float(values[row]) for name, values in found.items()} == pytest.approx(expected)


def test_a_figure_that_is_not_defined_is_none_and_not_zero() -> None:
    nobody = np.zeros(4, dtype=np.bool_)
    found = figures(np.ones((3, 4)), np.array([0, 0, 1, 1]), np.full(4, 0.2), nobody)
    assert np.isnan(found["precision"]).all()
    assert np.isnan(summarise(found["precision"]).value)
    assert np.isnan(auc(np.ones((1, 2)), np.array([1, 1]), np.array([0.1, 0.2]))).all()


def test_an_interval_holds_its_value() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(2, size=300)
    interval = summarise(auc(resample(300, 1), y, y + rng.normal(size=300)))
    assert interval.low < interval.value < interval.high
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.025, abs=0.03)  # Hanley and McNeil, 1982


def test_no_patient_is_learnt_from_and_tested_in_the_same_fold(patients: Dataset) -> None:
    def spy(x: Matrix, y: Labels, test: Matrix, _seed: int, /) -> tuple[Vector, float]:
        learnt = {row.tobytes() for row in x}
        assert not any(row.tobytes() in learnt for row in test)
        return np.full(len(test), y.mean()), 0.5

    for splits in (random_splits(patients, 1), site_splits(patients)):
        predict_out_of_fold(spy, patients, splits, seed=1)


def test_every_patient_is_predicted_once(patients: Dataset) -> None:
    tested = np.concatenate([test for _, test in random_splits(patients, 1)])
    assert sorted(tested.tolist()) == list(range(len(patients)))
    with pytest.raises(ValueError, match="expected every patient in one test part"):
        predict_out_of_fold(logistic_regression, patients, list(random_splits(patients, 1))[1:], seed=1)


def test_a_left_out_site_is_not_learnt_from(patients: Dataset) -> None:
    for train, test in site_splits(patients):
        assert len(set(patients.site[test])) == 1
        assert set(patients.site[train]).isdisjoint(patients.site[test])


def test_the_baseline_is_evaluated_on_all_patients_both_ways(patients: Dataset) -> None:
    for one in (*cross_validate(logistic_regression, patients, 1), leave_site_out(logistic_regression, patients, 1)):
        assert 0.75 < auc(np.ones((1, len(patients))), patients.y, one.probability)[0] < 0.90


def test_labels_at_random_cannot_be_predicted(patients: Dataset) -> None:
    """A leak anywhere in fitting would show as an AUC above one half."""
    y = np.random.default_rng(5).permutation(patients.y)
    out_of_fold = fit(patients.x, y, seed=5).out_of_fold
    assert auc(np.ones((1, len(y))), y, out_of_fold)[0] == pytest.approx(0.5, abs=0.06)


def test_the_model_card_is_of_the_data_and_seed_that_are_shipped() -> None:
    text = CARD.read_text(encoding="utf-8")
    assert hashlib.sha256(DATA_FILE.read_bytes()).hexdigest() in text
    assert f"`make model-card` (seed {DEFAULT_SEED})" in text
    for plot in ("calibration", "curves"):
        assert f"model-card/{plot}.svg" in text
        assert (CARD.parent / "model-card" / f"{plot}.svg").is_file()
