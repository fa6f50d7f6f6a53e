"""Does a graph fit its manifest? Loads it, compares its shapes and scores a few rows at the edges."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.bundle import Manifest
from models.session import SESSION_ERRORS, open_session

_TOLERANCE = 1e-5  # another processor may round the last bits otherwise


def probe(manifest: Manifest, onnx: bytes) -> str | None:
    """Return what is wrong with the graph under `manifest`, "expected X, got Y", or None when nothing is.

    The graph must read one float32 (any number of rows, features of the table) and give one float32 (rows, 1) of
    probabilities, for a row with everything missing as for rows at both ends of the hard ranges. For the manifest's
    reference rows it must give the manifest's answers.
    """
    try:
        return next(_faults(manifest, onnx), None)
    except SESSION_ERRORS:
        return "expected an ONNX graph that this ONNX Runtime can run"


def _faults(manifest: Manifest, onnx: bytes) -> Iterator[str]:
    features = manifest.feature_table.features
    if any(len(row.values) != len(features) for row in manifest.reference_rows):
        yield f"expected reference rows of {len(features)} features, got others"
    session = open_session(onnx)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    for what, found, name in (("input", inputs, manifest.input_name), ("output", outputs, manifest.output_name)):
        if [(value.name, value.type) for value in found] != [(name, "tensor(float)")]:
            yield f"expected one float32 {what} {name!r}"
    shape = inputs[0].shape
    if len(shape) != 2 or isinstance(shape[0], int) or shape[1] != len(features):
        yield f"expected an input of any number of rows by {len(features)} features, got {shape}"

    def scores(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = session.run([manifest.output_name], {manifest.input_name: rows})[0]
        return found

    edges = np.array(
        [[np.nan] * len(features), [f.hard[0] for f in features], [f.hard[1] for f in features]], dtype=np.float32
    )
    at_edges = scores(edges)
    if at_edges.shape != (len(edges), 1):
        yield f"expected one probability a row, got the shape {at_edges.shape} for {len(edges)} rows"
    if not ((at_edges >= 0) & (at_edges <= 1)).all():  # false for NaN as well
        yield "expected probabilities from 0 to 1, got others"
    rows = np.array([row.values for row in manifest.reference_rows], dtype=np.float32)  # None becomes NaN
    expected = np.array([row.probability for row in manifest.reference_rows])
    if not (np.abs(scores(rows).reshape(-1) - expected) <= _TOLERANCE).all():
        yield "expected the probabilities of the manifest's reference rows, got others"
