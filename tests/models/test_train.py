"""Training: the same every time, faithful in ONNX, blind to gaps, and plain about what it cannot use."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import UserError
from contracts.heart_disease import HEART_DISEASE
from models.bundle import BUNDLE_FILES, decode_manifest, digested, encode_manifest, write_bundle
from models.dataset import DATA_FILE, load_dataset
from models.export import MAX_DIFFERENCE, check_export, export_onnx
from models.fit import FittedModel, fit, threshold_for_recall
from models.train import train_bundle
from models.verify import VerifiedBundle, verify_bundle
from tests.conftest import Trained


@pytest.fixture(scope="module")
def fitted() -> FittedModel:
    patients = load_dataset().distinct()
    return fit(patients.x, patients.y, seed=20)


def test_the_same_inputs_and_seed_give_the_same_digest(trained: Trained, tmp_path: Path) -> None:
    assert train_bundle(tmp_path / "again", trained.private_key) == trained.digest


def test_another_kind_of_processor_gives_the_same_digest(trained: Trained, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from models.train import train_bundle; "
        "print(train_bundle(*map(Path, sys.argv[1:])))"
    )
    elsewhere = {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1"}  # sums in another order
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "elsewhere", trained.private_key],
        env={**os.environ, **elsewhere},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == trained.digest


def test_another_seed_gives_another_digest(trained: Trained, tmp_path: Path) -> None:
    assert train_bundle(tmp_path / "other", trained.private_key, seed=21) != trained.digest


def test_the_digest_is_what_sha256sum_prints(trained: Trained) -> None:
    lines = subprocess.run(
        ["sha256sum", *digested(BUNDLE_FILES)], cwd=trained.bundle, check=True, capture_output=True
    ).stdout
    assert trained.digest == "sha256:" + hashlib.sha256(lines).hexdigest()


def test_a_bundle_holds_three_files_that_others_may_read(trained: Trained) -> None:
    assert sorted(os.listdir(trained.bundle)) == sorted(BUNDLE_FILES)
    assert trained.bundle.stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in trained.bundle.parent.iterdir()) == ["bundle", "keys"]


def test_the_manifest_says_what_it_was_made_of_and_survives_a_round_trip(trained: Trained) -> None:
    content = (trained.bundle / "manifest.json").read_bytes()
    manifest = decode_manifest(content)
    assert decode_manifest(encode_manifest(manifest)) == manifest
    assert manifest.training_data.sha256 == hashlib.sha256(DATA_FILE.read_bytes()).hexdigest()
    assert manifest.training_data.patients == 918
    assert manifest.feature_table == HEART_DISEASE
    assert manifest.evaluation.recall >= 0.90
    assert manifest.evaluation.auc > 0.85
    assert manifest.reference_statistics is not None
    assert manifest.reference_statistics.fits(HEART_DISEASE)


def test_training_says_what_it_does(trained: Trained) -> None:
    assert len(trained.progress) == 5
    assert trained.digest in trained.progress[-1]


def test_the_graph_agrees_with_scikit_learn_on_every_row_and_on_rows_with_gaps(fitted: FittedModel) -> None:
    assert check_export(export_onnx(fitted, HEART_DISEASE), fitted, load_dataset().x, seed=1) < MAX_DIFFERENCE / 10


def test_a_graph_that_differs_from_scikit_learn_is_refused(fitted: FittedModel) -> None:
    graph = export_onnx(fitted, HEART_DISEASE)
    other = replace(fitted, intercept=fitted.intercept + 0.01)
    with pytest.raises(ArithmeticError, match="expected a difference of at most"):
        check_export(graph, other, load_dataset().x, seed=1)


def test_a_value_on_a_step_goes_the_same_way_in_onnx_and_scikit_learn(fitted: FittedModel) -> None:
    steps = np.concatenate([m.estimators_[0, 0].tree_.threshold[:1] for m in fitted.boosted.members])
    rows = np.full((len(steps) * 3, 13), np.nan, dtype=np.float32)
    for column in range(13):
        at = steps.astype(np.float32)
        rows[:, column] = np.concatenate(
            [at, np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))]
        )
    check_export(export_onnx(fitted, HEART_DISEASE), fitted, rows, seed=1)


def test_the_threshold_finds_nine_in_ten_of_the_ill_out_of_fold(fitted: FittedModel) -> None:
    y = load_dataset().distinct().y
    found = fitted.out_of_fold >= fitted.threshold
    assert found[y == 1].mean() >= 0.90
    assert (fitted.out_of_fold >= fitted.threshold + 0.01)[y == 1].mean() < 0.91


@pytest.mark.parametrize("n", [10, 50, 101])
def test_the_threshold_rule_reaches_its_recall_for_any_number_of_ill(n: int) -> None:
    probability = np.random.default_rng(n).random(n)
    y = np.ones(n, dtype=np.int64)
    assert (probability >= threshold_for_recall(probability, y)).mean() >= 0.9


def test_what_is_missing_in_training_carries_no_signal() -> None:
    """Disease decides which values are missing, and nothing else: a model that reads gaps would have an AUC of 1."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(800, 13)).astype(np.float32)
    y = rng.integers(2, size=800)
    x[y == 1, 4] = np.nan
    probability = fit(x, y, seed=1).out_of_fold
    assert abs(probability[y == 1].mean() - probability[y == 0].mean()) < 0.05


def test_too_few_patients_are_refused(trained: Trained, tmp_path: Path) -> None:
    lines = DATA_FILE.read_text(encoding="utf-8").splitlines()
    few = tmp_path / "few.csv"
    few.write_text("\n".join(lines[:60]), encoding="utf-8")
    with pytest.raises(UserError, match="expected at least 50 patients with and without disease"):
        train_bundle(tmp_path / "bundle", trained.private_key, data=few)
    assert not (tmp_path / "bundle").exists()


def test_a_place_that_holds_something_else_stays_as_it_is(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UserError, match=r"expected a bundle's directory, got one that also holds thesis.txt"):
        train_bundle(tmp_path, trained.private_key)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_an_old_bundle_is_replaced_and_survives_a_key_that_cannot_sign(
    trained: Trained, copied: Path, tmp_path: Path
) -> None:
    before = {name: (copied / name).read_bytes() for name in BUNDLE_FILES}
    with pytest.raises(UserError, match=r"none.key: expected the private signing key"):
        train_bundle(copied, tmp_path / "none.key")
    assert {name: (copied / name).read_bytes() for name in BUNDLE_FILES} == before
    digest = train_bundle(copied, trained.private_key, version="1.0.1")
    assert verify_bundle(copied, trained.public_key).digest == digest
    assert os.listdir(tmp_path) == ["bundle"]


def test_a_bundle_that_cannot_be_signed_leaves_the_old_one_and_nothing_else(
    verified: VerifiedBundle, copied: Path, tmp_path: Path
) -> None:
    def refuse(directory: Path) -> None:
        assert sorted(os.listdir(directory)) == digested(BUNDLE_FILES)
        raise UserError("the token was pulled out")

    before = {name: (copied / name).read_bytes() for name in BUNDLE_FILES}
    with pytest.raises(UserError, match="pulled out"):
        write_bundle(copied, verified.manifest, b"another", refuse)
    assert {name: (copied / name).read_bytes() for name in BUNDLE_FILES} == before
    assert os.listdir(tmp_path) == ["bundle"]


def test_what_a_worker_imports_has_nothing_of_training() -> None:
    code = "import sys, models.verify, models.scorer; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "models.scorer" in loaded
    training = {"sklearn", "skl2onnx", "pandas", "scipy", "models.fit", "models.train", "models.dataset"}
    assert training.isdisjoint(loaded)
