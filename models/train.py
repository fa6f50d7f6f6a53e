"""From a data file to a signed bundle: load, fit, export, check, write, sign. Seconds, and the same every time."""

import platform
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.features import Feature, FeatureTable, Matrix
from contracts.heart_disease import HEART_DISEASE
from models.bundle import Evaluation, Manifest, ReferenceRow, TrainingData, check_place, write_bundle
from models.calibrate import make_reference
from models.dataset import DATA_FILE, load_dataset
from models.export import INPUT_NAME, OUTPUT_NAME, check_export, export_onnx
from models.fit import FittedModel, fit
from models.libraries import libraries
from models.metrics import figures, resample, summarise
from models.session import open_session
from models.sign import signer

DEFAULT_SEED = 20
DEFAULT_VERSION = "1.0.0"
_REFERENCE_ROWS = 32
_MISSING = 0.1


def train_bundle(
    out: Path,
    private_key: Path,
    *,
    passphrase: bytes | None = None,
    data: Path = DATA_FILE,
    seed: int = DEFAULT_SEED,
    version: str = DEFAULT_VERSION,
    progress: Callable[[str], None] = lambda _: None,
) -> str:
    """Train on the file `data`, write a bundle at `out` signed by `private_key`, and return its digest.

    The same data, seed, version and libraries give the same digest. `progress` gets a sentence a step. Raises
    `UserError` for data, a key or a place that cannot be used.
    """
    check_place(out)  # here as well as when writing: nobody wants to wait for a refusal
    sign = signer(private_key, passphrase)
    dataset = load_dataset(data)
    patients = dataset.distinct()
    progress(
        f"read {len(dataset)} records of {data.name}, {len(dataset) - len(patients)} of them repeats that are left out"
    )
    model = fit(patients.x, patients.y, seed)
    manifest, graph = assemble(
        model,
        patients.x,
        patients.y,
        patients.site,
        sha256=dataset.sha256,
        seed=seed,
        version=version,
        progress=progress,
    )
    digest = write_bundle(out, manifest, graph, sign)
    progress(f"signed {out}: {digest}")
    return digest


def assemble(
    model: FittedModel,
    x: Matrix,
    y: npt.NDArray[np.int64],
    site: npt.NDArray[np.str_],
    *,
    sha256: str,
    seed: int,
    version: str,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Manifest, bytes]:
    """Return manifest and graph of a model that was fitted on `x` (n, features), `y` (n,) of `site` (n,).

    `sha256` is that of the data. The graph was checked row by row against the model.
    """
    evaluation = _evaluate(model, y, seed)
    progress(f"fitted {model.boosted.stumps} stumps; out of fold AUC {evaluation.auc:.3f}")
    graph = export_onnx(model, HEART_DISEASE)
    difference = check_export(graph, model, x, seed)
    progress(f"exported {len(graph)} bytes of ONNX; largest difference from scikit-learn {difference:.0e}")
    statistics = make_reference(HEART_DISEASE, x, y, site, scorer_of(graph), model.threshold, seed)
    simulated = len(statistics.nulls) + len(statistics.outcomes.nulls)
    progress(f"simulated {simulated} statistics of drift and of outcomes on a stream where nothing changes")
    manifest = Manifest(
        name=HEART_DISEASE.name,
        version=version,
        feature_table=HEART_DISEASE,
        threshold=model.threshold,
        model_bytes=len(graph),
        input_name=INPUT_NAME,
        output_name=OUTPUT_NAME,
        training_data=TrainingData(sha256=sha256, patients=len(y), positives=int(y.sum())),
        seed=seed,
        libraries={"python": platform.python_version(), **libraries()},
        evaluation=evaluation,
        reference_rows=reference_rows(graph, HEART_DISEASE),
        reference_statistics=statistics,
    )
    return manifest, graph


def reference_rows(graph: bytes, table: FeatureTable) -> tuple[ReferenceRow, ...]:
    """Return made-up patients, each with the graph's answer: no real one's values may stand in a manifest."""
    draw = random.Random(1)  # noqa: S311 - made-up patients, no secrets
    rows = [tuple(_drawn(feature, draw) for feature in table.features) for _ in range(_REFERENCE_ROWS)]
    matrix = np.array(rows, dtype=np.float32)  # None becomes NaN
    scores = scorer_of(graph)(matrix)
    return tuple(
        ReferenceRow(values=row, probability=round(float(score), 6)) for row, score in zip(rows, scores, strict=True)
    )


def scorer_of(graph: bytes) -> Callable[[Matrix], npt.NDArray[np.float32]]:
    """Return what computes the probabilities (n,) of a matrix (n, features) by a graph of ours."""
    session = open_session(graph)

    def score(values: Matrix) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = session.run([OUTPUT_NAME], {INPUT_NAME: values})[0]
        return found.reshape(-1)

    return score


def _drawn(feature: Feature, draw: random.Random) -> float | None:
    if draw.random() < _MISSING:
        return None
    if feature.codes:
        return float(draw.choice(list(feature.codes)))
    return float(round(draw.uniform(*feature.usual)))


def _evaluate(model: FittedModel, y: npt.NDArray[np.int64], seed: int) -> Evaluation:
    """Return the short figures, rounded to 0.0001 so that the last bits of a sum do not change the digest."""
    found = figures(resample(len(y), seed), y, model.out_of_fold, model.out_of_fold >= model.threshold)
    short = {name: summarise(found[name]) for name in ("auc", "brier", "recall", "specificity")}
    return Evaluation(
        method="5-fold out-of-fold on the training patients, calibration and threshold fitted on the same predictions",
        **{name: round(figure.value, 4) for name, figure in short.items()},
        intervals={name: (round(figure.low, 4), round(figure.high, 4)) for name, figure in short.items()},
    )
