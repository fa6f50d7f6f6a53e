"""The scorer of a verified bundle: features in, probabilities of disease out."""

import numpy as np
import numpy.typing as npt

from contracts.features import Matrix
from models.session import open_session
from models.verify import VerifiedBundle


class Scorer:
    """Scores batches with a verified model. A batch scores exactly as its rows one by one.

    It holds one ONNX Runtime session of one thread; calls from several threads are allowed.
    """

    def __init__(self, bundle: VerifiedBundle) -> None:
        self.bundle = bundle
        self._session = open_session(bundle.onnx)
        self._input = bundle.manifest.input_name
        self._outputs = [bundle.manifest.output_name]
        self._features = len(bundle.manifest.feature_table.features)

    def score(self, values: Matrix) -> npt.NDArray[np.float32]:
        """Return the probability of disease of each row, shape (n,) float32 in [0, 1]; higher is worse.

        `values` has shape (n, features) float32, NaN where missing. Raises `ValueError` for any other shape.
        """
        if values.ndim != 2 or values.shape[1] != self._features:
            raise ValueError(f"features: expected the shape (n, {self._features}), got {values.shape}")
        if not len(values):
            return np.empty(0, dtype=np.float32)
        found: npt.NDArray[np.float32] = self._session.run(self._outputs, {self._input: values})[0]
        return found.reshape(-1)
