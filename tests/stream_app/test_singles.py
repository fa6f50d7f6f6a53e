"""What is odd about one event: rare values, contradictions, and how unlike the model's patients it is."""

from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.events import event_id
from contracts.detection import Signal, Signals, SourceSignals
from contracts.topics import PREDICTIONS, SIGNALS
from models.verify import VerifiedBundle
from stream_app.detectors.copies import COPIES
from stream_app.pipeline import EventPipeline, Result
from tests.producers.support import AT_MS, synthetic
from tests.stream_app.support import NOW_MS, batch_of, edited, event_pipeline, good_event, predictions, wire


@pytest.fixture
def pipeline(verified: VerifiedBundle) -> EventPipeline:
    return event_pipeline(verified, require_mac=True)


def told(result: Result, source: str) -> SourceSignals:
    return msgspec.json.decode(result.outputs[SIGNALS.name][0][1], type=Signals).sources[source]


def anomalies(result: Result) -> list[float | None]:
    return [prediction.anomaly for prediction in predictions(result.outputs[PREDICTIONS.name])]


WHOLE = {
    "age": 54, "sex": 1, "cp": 4, "trestbps": 130, "chol": 246, "fbs": 0, "restecg": 0,
    "thalch": 150, "exang": 0, "oldpeak": 0.8, "slope": 2, "ca": 0, "thal": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("features", "signal"),
    [
        ({"trestbps": 250}, "outside_usual"),
        ({"thalch": 240, "age": 20}, "outside_usual"),
        ({"thalch": 240, "age": 60}, "contradictory"),
        ({"oldpeak": None}, "contradictory"),
        ({"thalch": None, "exang": 1}, "contradictory"),
        ({"oldpeak": None, "slope": None}, None),
        ({"thalch": None, "exang": None}, None),
        ({}, None),
    ],
)
def test_a_rare_or_contradictory_value_is_told_and_scored(
    pipeline: EventPipeline, features: dict[str, Any], signal: Signal | None
) -> None:
    event = edited(good_event(1), features=WHOLE | features)
    result = pipeline(batch_of([wire(event)]), NOW_MS)
    assert len(predictions(result.outputs[PREDICTIONS.name])) == 1
    odd = told(result, event.source).counts.keys() & {"outside_usual", "contradictory"}
    assert (signal in odd) if signal else not odd
    if signal:
        assert told(result, event.source).samples[signal] == [event.event_id]


def test_anomaly_is_spread_evenly_over_the_patients_of_the_reference(pipeline: EventPipeline) -> None:
    records = synthetic(11).take(1000, AT_MS)
    shares = np.array(anomalies(pipeline(batch_of(list(map(wire, records))), NOW_MS)), np.float64)
    found = shares[~np.isnan(shares)]
    for share in (0.25, 0.5, 0.75, 0.95):
        assert np.mean(found < share) == pytest.approx(share, abs=0.06)


def test_an_event_of_rare_values_that_do_not_go_together_is_unusual(pipeline: EventPipeline) -> None:
    odd = {"age": 29, "trestbps": 190, "chol": 460, "thalch": 75, "oldpeak": 4.9, "ca": 3, "thal": 7, "restecg": 2}
    event = edited(good_event(1), features=WHOLE | odd)
    result = pipeline(batch_of([wire(event)]), NOW_MS)
    assert anomalies(result)[0] == pytest.approx(1, abs=0.001)
    assert told(result, event.source).counts["unusual"] == 1


def test_nobody_can_say_how_unusual_an_event_is_that_has_too_few_values(pipeline: EventPipeline) -> None:
    features = dict.fromkeys(WHOLE, None) | {"age": 50, "sex": 1}
    result = pipeline(batch_of([wire(edited(good_event(1), features=features))]), NOW_MS)
    assert anomalies(result) == [None]


def test_copied_values_are_told_with_the_source_that_sent_them(pipeline: EventPipeline) -> None:
    stamp = {"trestbps": 118, "chol": 234, "thalch": 151, "oldpeak": 1.7}
    patients = {record.key: record for record in synthetic(12).take(100, AT_MS)}
    for number, record in enumerate(list(patients.values())[:COPIES]):
        event = edited(record, event_id=event_id(number).decode(), features=stamp)
        result = pipeline(batch_of([wire(event)], first_offset=100 + number), NOW_MS)
    assert told(result, event.source).counts["copied"] == 1
