"""Scoring: a decision that a reader of the prediction can check, and no guess where too little is known."""

import json
from dataclasses import dataclass
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.events import Event, Prediction, event_type
from contracts.features import Matrix
from contracts.heart_disease import HEART_DISEASE
from contracts.topics import PREDICTIONS
from models.scorer import Scorer
from models.verify import VerifiedBundle
from stream_app.decode import Decoded
from stream_app.score import ScoreStage
from tests.producers.support import AT_MS
from tests.stream_app.support import NOW_MS, batch_of, edited, event_pipeline, good_event, predictions, wire

NAMES = HEART_DISEASE.names


@dataclass
class FixedScorer:
    """Answers what it is told, whatever the features."""

    bundle: VerifiedBundle
    answers: list[float]

    def score(self, _: Matrix) -> npt.NDArray[np.float32]:
        return np.array(self.answers, dtype=np.float32)


def decoded(count: int) -> Decoded[Event]:
    event = msgspec.json.decode(good_event().value or b"", type=event_type(HEART_DISEASE))
    return Decoded([event] * count, list(range(count)), [True] * count, {})


def stage(bundle: VerifiedBundle, threshold: float, answers: list[float]) -> ScoreStage:
    manifest = msgspec.structs.replace(bundle.manifest, threshold=threshold)
    changed = VerifiedBundle(manifest, bundle.digest, bundle.onnx)
    return ScoreStage(cast("Scorer", FixedScorer(changed, answers)), "champion")


@given(st.integers(1, 999).map(lambda n: n / 1000), st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5))
@settings(deadline=None)
def test_the_decision_is_what_probability_and_threshold_say(
    verified: VerifiedBundle, threshold: float, answers: list[float]
) -> None:
    """A reader compares the two numbers in float64: neighbours of the threshold in float32 must not differ."""
    near = [float(np.float32(threshold)), float(np.nextafter(np.float32(threshold), np.float32(1)))]
    scored = stage(verified, threshold, [*answers, *near])(decoded(len(answers) + 2), NOW_MS)
    values = scored.predictions
    for value in map(json.loads, values):
        assert value["decision"] == ("positive" if value["probability"] >= value["threshold"] else "negative")
    assert scored.decisions == {
        decision: sum(json.loads(value)["decision"] == decision for value in values)
        for decision in ("negative", "positive", "insufficient_data")
    }


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), float("-inf")])
def test_a_model_that_answers_no_number_is_a_defect_and_nothing_is_written(
    verified: VerifiedBundle, answer: float
) -> None:
    with pytest.raises(ArithmeticError, match="expected finite probabilities"):
        stage(verified, 0.5, [0.5, answer])(decoded(2), NOW_MS)


@pytest.mark.parametrize("missing", range(len(NAMES) + 1))
def test_above_the_tables_limit_of_missing_features_there_is_no_guess(verified: VerifiedBundle, missing: int) -> None:
    present = edited(good_event(), features=dict.fromkeys(NAMES, 1.0) | {"age": 50, "trestbps": 120, "chol": 200})
    present = edited(present, features={"thalch": 150, "thal": 3})
    record = edited(present, features=dict.fromkeys(NAMES[:missing]))
    pipeline = event_pipeline(verified, require_mac=True)

    result = pipeline(batch_of([wire(record)]), NOW_MS)

    (prediction,) = predictions(result.outputs[PREDICTIONS.name])
    assert prediction.missing == missing
    enough = missing <= HEART_DISEASE.max_missing
    assert (prediction.probability is not None) is enough
    assert (prediction.decision != "insufficient_data") is enough
    assert result.decisions[prediction.decision] == 1


def test_a_prediction_says_which_event_which_model_and_when(verified: VerifiedBundle) -> None:
    event = good_event()
    result = event_pipeline(verified, require_mac=True)(batch_of([wire(event)]), NOW_MS)
    (output,) = result.outputs[PREDICTIONS.name]
    sent = json.loads(event.value or b"")
    (prediction,) = predictions([output])
    manifest = verified.manifest
    assert output[0] == event.key == prediction.patient_id.encode()
    assert (prediction.event_id, prediction.source) == (sent["event_id"], sent["source"])
    assert prediction.observed_at == sent["observed_at"]
    assert (prediction.scored_at, prediction.role) == (NOW_MS, "champion")
    assert (prediction.model.name, prediction.model.version) == (manifest.name, manifest.version)
    assert (prediction.model.digest, prediction.threshold) == (verified.digest, manifest.threshold)
    assert result.newest_ms == AT_MS
    # No feature of the patient goes further than the event.
    assert set(json.loads(output[1])) == set(Prediction.__struct_fields__)


def test_the_probability_is_the_models_own(verified: VerifiedBundle) -> None:
    records = [good_event(seed) for seed in range(1, 30)]
    rows = [[json.loads(r.value or b"")["features"][name] for name in NAMES] for r in records]
    expected = Scorer(verified).score(np.array(rows, dtype=np.float64).astype(np.float32)).astype(np.float64)
    result = event_pipeline(verified, require_mac=True)(batch_of(list(map(wire, records))), NOW_MS)
    found = [p.probability for p in predictions(result.outputs[PREDICTIONS.name])]
    assert found == [None if p is None else e for p, e in zip(found, expected.tolist(), strict=True)]
    assert len(set(found)) > 10


@pytest.mark.parametrize("value", [-0.0, 5e-324, 0.1, -9.999999999999998])
def test_extreme_but_possible_numbers_are_scored(verified: VerifiedBundle, value: float) -> None:
    pipeline = event_pipeline(verified, require_mac=True)
    result = pipeline(batch_of([wire(edited(good_event(), features={"oldpeak": value}))]), NOW_MS)
    (prediction,) = predictions(result.outputs[PREDICTIONS.name])
    assert prediction.probability is None or 0 <= prediction.probability <= 1
    assert result.reasons == {}
