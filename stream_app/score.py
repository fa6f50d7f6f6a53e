"""Score: checked events in, encoded predictions out, a whole batch at a time."""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.codec import encode
from contracts.errors import InvalidRecord
from contracts.events import Decision, Event, ModelRef, Prediction
from contracts.features import FeatureTable, RangeCheck
from contracts.reasons import Reason
from contracts.releases import Role
from models.scorer import Scorer
from models.unlike import Unlike
from stream_app.decode import Decoded
from stream_app.matrix import to_matrix

_DECISIONS: tuple[Decision, ...] = ("negative", "positive", "insufficient_data")


@dataclass(frozen=True, slots=True)
class Scored:
    """Of each of a batch's records: the encoded prediction and the probability (float64), whatever the decision.

    `decisions` counts them; `threshold` is the model's; `values` are their features, shape (n, features), NaN where
    missing; `anomalies` (n,) are how unusual each is, None where nobody can say.
    """

    predictions: list[bytes]
    decisions: dict[Decision, int]
    probabilities: npt.NDArray[np.float64]
    threshold: float
    values: npt.NDArray[np.float64]
    anomalies: npt.NDArray[np.float64] | None


class ScoreStage:
    """Turns decoded events into the JSON of their predictions under one verified model in its role."""

    def __init__(self, scorer: Scorer, role: Role) -> None:
        self._role = role
        manifest = scorer.bundle.manifest
        self._score = scorer.score
        self._table: FeatureTable = manifest.feature_table
        self._out_of_range = RangeCheck(self._table)
        self._threshold = manifest.threshold
        reference = manifest.reference_statistics
        self._unlike = Unlike(reference.likeness) if reference and role == "champion" else None
        self._model = msgspec.Raw(encode(ModelRef(manifest.name, manifest.version, scorer.bundle.digest)))

    def probabilities(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the probabilities (n,) of `values` (n, features), NaN where missing and in their hard ranges."""
        # In float64, as the prediction shows it: in float32 a reader's own comparison could differ from our decision.
        probabilities = self._score(values.astype(np.float32)).astype(np.float64)
        if not np.isfinite(probabilities).all():
            raise ArithmeticError("expected finite probabilities of the model, got NaN or infinity")
        return probabilities

    def __call__(self, decoded: Decoded[Event], now_ms: int) -> Scored:
        """Return one prediction for each of `decoded.records`, in order.

        Events with a feature outside its hard range are moved to `decoded.rejected` first, see `values`.
        """
        values = self.values(decoded)
        if not decoded.records:
            return Scored([], {}, np.empty(0), self._threshold, values, None)
        missing = np.isnan(values).sum(axis=1)
        probabilities = self.probabilities(values)
        codes = np.where(missing > self._table.max_missing, 2, probabilities >= self._threshold)
        numbers: list[float | None] = probabilities.tolist()
        anomalies = None if self._unlike is None else self._unlike(values)
        shown: list[float | None] = [None] * len(numbers) if anomalies is None else anomalies.round(4).tolist()
        for row in np.flatnonzero(codes == _DECISIONS.index("insufficient_data")):
            numbers[row] = shown[row] = None
        model, role, threshold = self._model, self._role, self._threshold
        predictions = [
            encode(
                Prediction(
                    event.event_id,
                    event.patient_id,
                    event.source,
                    model,
                    role,
                    probability,
                    _DECISIONS[code],
                    threshold,
                    authenticated,
                    absent,
                    anomaly,
                    event.observed_at,
                    now_ms,
                )
            )
            for event, authenticated, probability, code, absent, anomaly in zip(
                decoded.records, decoded.authenticated, numbers, codes.tolist(), missing.tolist(), shown, strict=True
            )
        ]
        counts = np.bincount(codes, minlength=len(_DECISIONS)).tolist()
        decisions = dict(zip(_DECISIONS, counts, strict=True))
        return Scored(predictions, decisions, probabilities, threshold, values, anomalies)

    def values(self, decoded: Decoded[Event]) -> npt.NDArray[np.float64]:
        """Return the features of `decoded.records`, shape (n, features), NaN where missing.

        Events with a feature outside its hard range are moved to `decoded.rejected` first.
        """
        values = to_matrix(decoded.records, len(self._table.features))
        bad = self._out_of_range(values)
        if bad:
            decoded.reject(
                {
                    position: InvalidRecord(
                        Reason.OUT_OF_RANGE, f"expected a value in its hard range or code list - at `$.features.{name}`"
                    )
                    for position, name in bad.items()
                }
            )
            values = np.delete(values, list(bad), axis=0)
        return values
