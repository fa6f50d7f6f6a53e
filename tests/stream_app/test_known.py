"""An event that comes again is not answered again, whoever holds its partition and whatever was aborted meanwhile."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.events import event_id
from contracts.detection import Signals
from contracts.errors import RetryableError
from contracts.reasons import Reason
from contracts.topics import PREDICTIONS, SIGNALS
from models.verify import VerifiedBundle
from stream_app.batch import Batch
from stream_app.detectors.memories import IDS, IdMemory, PatientMemory
from stream_app.model_slot import Models
from stream_app.pipeline import EventPipeline, Result
from tests.producers.support import AT_MS, synthetic
from tests.stream_app.support import (
    NOW_MS,
    Wire,
    batch_of,
    edited,
    event_pipeline,
    good_event,
    loaded,
    opened,
    pipeline_of,
    predictions,
    wire,
)


@pytest.fixture
def pipeline(verified: VerifiedBundle) -> EventPipeline:
    return event_pipeline(verified, require_mac=True)


def scored(result: Result) -> list[str]:
    return [prediction.event_id for prediction in predictions(result.outputs.get(PREDICTIONS.name, []))]


def test_the_same_event_again_is_dropped_and_counted(pipeline: EventPipeline) -> None:
    one, two = good_event(1), good_event(2)
    first = pipeline(batch_of([wire(one), wire(two), wire(one)]), NOW_MS)
    assert (scored(first), first.repeats, first.quarantined) == ([one.event_id, two.event_id], 1, [])
    again = pipeline(batch_of([wire(two)], first_offset=103), NOW_MS)
    assert (scored(again), again.repeats, again.quarantined) == ([], 1, [])


def test_a_known_id_with_other_bytes_goes_to_quarantine(pipeline: EventPipeline) -> None:
    one = good_event(1)
    changed = edited(one, features={"chol": 199})
    result = pipeline(batch_of([wire(one), wire(changed), wire(good_event(3))]), NOW_MS)
    assert scored(result) == [one.event_id, good_event(3).event_id]
    assert result.reasons == {Reason.REPEATED: 1}
    (found,) = map(opened, result.quarantined)
    assert (found.origin, json.loads(found.value)["features"]["chol"]) == ("patient-events/0/101", 199)


def test_a_forged_event_does_not_take_the_id_of_a_true_one(pipeline: EventPipeline) -> None:
    true = good_event(1)
    forged = Wire(true.key, wire(edited(true, features={"chol": 199})).value, wire(true).headers)
    result = pipeline(batch_of([forged, wire(true)]), NOW_MS)
    assert (result.reasons, scored(result)) == ({Reason.MAC_WRONG: 1}, [true.event_id])


def test_what_was_aborted_is_not_a_repeat_when_it_comes_again(pipeline: EventPipeline) -> None:
    one, two = good_event(1), good_event(2)
    pipeline(batch_of([wire(one)]), NOW_MS)
    pipeline.known.committed()
    pipeline(batch_of([wire(two)], first_offset=101), NOW_MS)
    pipeline.known.aborted()
    result = pipeline(batch_of([wire(two), wire(one)], first_offset=101), NOW_MS)
    assert (scored(result), result.repeats) == ([two.event_id], 1)


def test_whoever_takes_a_partition_over_reads_again_what_it_had(verified: VerifiedBundle) -> None:
    before = [wire(record) for record in synthetic(5).take(50, AT_MS)]
    asked: list[tuple[str, int, int, int]] = []

    def history(topic: str, partition: int, end: int, count: int) -> list[Batch]:
        asked.append((topic, partition, end, count))
        return [batch_of(before[:30]), batch_of([*before[30:], Wire(b"k", b"garbage")])]

    pipeline = pipeline_of(Models(loaded(verified)), history=history)
    result = pipeline(batch_of([before[7], wire(good_event(1))], partition=3, first_offset=900), NOW_MS)
    assert (scored(result), result.repeats) == ([good_event(1).event_id], 1)
    assert pipeline(batch_of([before[49]], partition=3, first_offset=902), NOW_MS).repeats == 1
    assert asked == [("patient-events", 3, 900, 2 * IDS)]  # once
    pipeline.known.reassigned()
    pipeline(batch_of([before[8]], partition=3, first_offset=903), NOW_MS)
    assert len(asked) == 2


def test_a_history_that_cannot_be_read_is_asked_for_again(verified: VerifiedBundle) -> None:
    answers = iter([RetryableError("no broker"), ()])

    def history(*_: object) -> tuple[()]:
        answer = next(answers)
        if isinstance(answer, RetryableError):
            raise answer
        return ()

    pipeline = pipeline_of(Models(loaded(verified)), history=history)
    with pytest.raises(RetryableError):
        pipeline(batch_of([wire(good_event(1))]), NOW_MS)
    pipeline.known.aborted()
    assert scored(pipeline(batch_of([wire(good_event(1))]), NOW_MS)) == [good_event(1).event_id]


def test_a_patient_who_is_suddenly_somebody_else_is_told_of_and_scored(pipeline: EventPipeline) -> None:
    one = good_event(1)
    age = json.loads(one.value or b"")["features"]["age"]
    ids = (event_id(number).decode() for number in range(9))
    visits = [
        edited(one, event_id=next(ids), features=features)
        for features in ({"chol": 250}, {"age": age + 1}, {"age": None}, {"age": age + 2}, {"sex": None})
    ]
    sex = json.loads(one.value or b"")["features"]["sex"]
    other = edited(one, event_id=next(ids), features={"sex": 1 - sex})
    result = pipeline(batch_of([wire(one), *map(wire, visits), wire(other)]), NOW_MS)
    assert len(scored(result)) == 7
    told = msgspec.json.decode(result.outputs[SIGNALS.name][0][1], type=Signals)
    assert told.sources[one.source].counts["inconsistent"] == 2
    assert told.sources[one.source].samples["inconsistent"] == [scored(result)[4], scored(result)[6]]


def test_patients_are_known_after_an_abort_and_a_takeover_as_they_were_before(verified: VerifiedBundle) -> None:
    one, stranger = good_event(1), edited(good_event(1), event_id=event_id(1).decode(), features={"age": 18})
    again = edited(good_event(1), event_id=event_id(2).decode(), features={"age": 18})
    pipeline = pipeline_of(Models(loaded(verified)), history=lambda *_: [batch_of([wire(one)])])
    for reset in (pipeline.known.aborted, pipeline.known.reassigned):
        result = pipeline(batch_of([wire(stranger)]), NOW_MS)
        assert b'"inconsistent"' in result.outputs[SIGNALS.name][0][1]
        reset()
    pipeline(batch_of([wire(stranger)]), NOW_MS)
    pipeline.known.committed()
    assert b'"inconsistent"' in pipeline(batch_of([wire(again)]), NOW_MS).outputs[SIGNALS.name][0][1]


EVENTS = st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), max_size=8), max_size=30)


@given(EVENTS, st.lists(st.booleans(), min_size=30, max_size=30))
@settings(deadline=None)
def test_a_memory_is_a_table_of_the_committed_events_cut_to_its_last(
    batches: list[list[tuple[int, int]]], commits: list[bool]
) -> None:
    memory, model = IdMemory(generation=1_000), dict[int, int]()
    for batch, commit in zip(batches, commits, strict=False):
        draft, expected = dict(model), {}
        for position, (identity, content) in enumerate(batch):
            if identity in draft:
                expected[position] = draft[identity] == content
            draft.setdefault(identity, content)
        assert memory.add([identity for identity, _ in batch], [content for _, content in batch]) == expected
        if commit:
            memory.committed()
            model = draft
        else:
            memory.aborted()


def test_a_memory_is_bounded_and_keeps_the_last_generation_whole() -> None:
    memory = IdMemory(generation=100)
    most = 0
    for number in range(10_000):
        assert memory.add([number], [0]) == {}
        memory.committed()
        most = max(most, len(memory))
        last = range(max(0, number - 99), number + 1)
        assert memory.add([last[0]], [0]) == {0: True}
    assert most <= 200


def test_patients_are_bounded_too() -> None:
    memory, same = PatientMemory(capacity=100), np.zeros(1)
    for number in range(10_000):
        memory.add([number], np.array([[1.0]]), same)
        memory.committed()
        assert memory.add([max(0, number - 99)], np.array([[2.0]]), same) == ([], [0])
        memory.aborted()
    assert len(memory) == 100
