"""What a batch tells of its events: counted once, by source, as the predictions have it."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from benchmarks.events import event_id
from contracts.detection import Signal, Signals
from contracts.topics import PREDICTIONS, SIGNALS
from models.verify import VerifiedBundle
from producers.sources import SourceRecord
from stream_app.batch import Batch
from stream_app.pipeline import Result
from tests.producers.support import AT_MS, synthetic
from tests.stream_app.support import NOW_MS, batch_of, edited, event_pipeline, good_event, predictions, wire


def told(result: Result) -> dict[str, Counter[Signal]]:
    ((_, value),) = result.outputs[SIGNALS.name]
    return {source: Counter(of.counts) for source, of in msgspec.json.decode(value, type=Signals).sources.items()}


def test_scores_near_the_threshold_are_counted_as_the_predictions_have_them(verified: VerifiedBundle) -> None:
    records = synthetic(3).take(3000, AT_MS)
    kept = predictions(event_pipeline(verified, require_mac=True)(_batch(records), NOW_MS).outputs[PREDICTIONS.name])
    scored = {each.event_id for each in kept if each.probability is not None}
    records = [record for record in records if record.event_id in scored]
    pipeline = event_pipeline(verified, require_mac=True)
    result = pipeline(_batch(records), NOW_MS)
    expected: dict[str, Counter[Signal]] = {}
    for record, each in zip(records, predictions(result.outputs[PREDICTIONS.name]), strict=True):
        counts = expected.setdefault(record.source, Counter())
        above = (each.probability or 0.0) - each.threshold
        counts.update({"near_threshold": abs(above) < 0.02, "just_below": -0.01 < above < 0})
    found = told(result)
    for signal in ("near_threshold", "just_below"):
        counted = {source: counts[signal] for source, counts in found.items()}
        assert counted == {source: counts[signal] for source, counts in expected.items()}
        assert sum(counted.values()) > 5


def test_a_patient_is_new_once_and_new_and_near_only_then(verified: VerifiedBundle) -> None:
    pipeline = event_pipeline(verified, require_mac=True)
    records = synthetic(4).take(2000, AT_MS)
    patients = len({record.key for record in records})
    first = sum(told(pipeline(_batch(records), NOW_MS)).values(), Counter())
    assert first["new_patient"] == patients
    assert 0 < first["new_near"] <= patients
    pipeline.known.committed()
    again = [edited(record, event_id=event_id(number).decode()) for number, record in enumerate(records)]
    second = sum(told(pipeline(_batch(again, first_offset=9000), NOW_MS)).values(), Counter())
    assert second["scored"] == len(records)
    assert (second["new_patient"], second["new_near"]) == (0, 0)


def test_an_event_is_late_after_ten_minutes(verified: VerifiedBundle) -> None:
    one = good_event(1)
    ages_s = (0, 599, 601, 86_400)
    records = [
        edited(one, event_id=event_id(number).decode(), observed_at=NOW_MS - age_s * 1000)
        for number, age_s in enumerate(ages_s)
    ]
    result = event_pipeline(verified, require_mac=True)(_batch(records), NOW_MS)
    assert told(result)[one.source]["late"] == 2


def _batch(records: Sequence[SourceRecord], first_offset: int = 100) -> Batch:
    return batch_of(list(map(wire, records)), first_offset=first_offset)
