"""The shipped patients as rows, and one clean candidate with its scorer, fitted once a session."""

from dataclasses import dataclass

import numpy as np
import pytest

from contracts.features import Matrix
from contracts.heart_disease import HEART_DISEASE
from models.dataset import load_dataset
from models.export import INPUT_NAME, OUTPUT_NAME, export_onnx
from models.fit import FittedModel, Vector, fit
from models.pipeline.champion import Scorer
from models.pipeline.rows import Rows
from models.pipeline.training import hold_out
from models.session import open_session
from tests.conftest import Trained


def scorer_of(onnx: bytes) -> Scorer:
    session = open_session(onnx)

    def score(x: Matrix) -> Vector:
        found: Vector = session.run([OUTPUT_NAME], {INPUT_NAME: np.ascontiguousarray(x)})[0][:, 0].astype(np.float64)
        return found

    return score


@dataclass(frozen=True)
class Fitted:
    model: FittedModel
    onnx: bytes
    score: Scorer
    train: Rows
    held_out: Rows

    @property
    def threshold(self) -> float:
        return self.model.threshold


def fitted_on(train: Rows, held_out: Rows, seed: int = 1) -> Fitted:
    model = fit(train.x, train.y, seed)
    onnx = export_onnx(model, HEART_DISEASE)
    return Fitted(model, onnx, scorer_of(onnx), train, held_out)


@pytest.fixture(scope="session")
def patients() -> Rows:
    data = load_dataset().distinct()
    return Rows(data.x, data.y, data.site, np.arange(len(data)))


@pytest.fixture(scope="session")
def candidate(patients: Rows) -> Fitted:
    train, held_out = hold_out(patients, 0.2, seed=1)
    return fitted_on(patients.take(train), patients.take(held_out))


@pytest.fixture(scope="session")
def verified_manifest(trained: Trained) -> bytes:
    """The manifest of the bundle that `cardiosentry train` makes."""
    return (trained.bundle / "manifest.json").read_bytes()
