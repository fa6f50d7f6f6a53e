"""Does a graph fit its manifest? Loads it, compares its shapes and scores a few rows at the edges."""

import numpy as np

from models.bundle import Manifest
from models.session import SESSION_ERRORS, open_session


def probe(manifest: Manifest, onnx: bytes) -> str | None:
    """Return what is wrong with the graph under `manifest`, "expected X, got Y", or None when nothing is.

    The graph must read one float32 (any number of rows, features of the table) and give one float32 (rows, 1) of
    probabilities, for a row with everything missing as for rows at both ends of the hard ranges.
    """
    features = manifest.feature_table.features
    try:
        session = open_session(onnx)
        inputs, outputs = session.get_inputs(), session.get_outputs()
        for what, found, name in (("input", inputs, manifest.input_name), ("output", outputs, manifest.output_name)):
            if [(value.name, value.type) for value in found] != [(name, "tensor(float)")]:
                return f"expected one float32 {what} {name!r}"
        shape = inputs[0].shape
        if len(shape) != 2 or isinstance(shape[0], int) or shape[1] != len(features):
            return f"expected an input of any number of rows by {len(features)} features, got {shape}"
        edges = np.array(
            [[np.nan] * len(features), [f.hard[0] for f in features], [f.hard[1] for f in features]], dtype=np.float32
        )
        scores = session.run([manifest.output_name], {manifest.input_name: edges})[0]
    except SESSION_ERRORS:
        return "expected an ONNX graph that this ONNX Runtime can run"
    if scores.shape != (len(edges), 1):
        return f"expected one probability a row, got the shape {scores.shape} for {len(edges)} rows"
    if not ((scores >= 0) & (scores <= 1)).all():  # false for NaN as well
        return "expected probabilities from 0 to 1, got others"
    return None
