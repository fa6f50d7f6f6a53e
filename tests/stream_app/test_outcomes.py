"""An outcome meets what was predicted once, whoever holds its partition and whatever was aborted meanwhile."""

import json
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.events import event_id
from contracts.detection import MAX_SOURCES, Signals
from contracts.errors import RetryableError
from contracts.topics import OUTCOMES, SIGNALS
from models.verify import VerifiedBundle
from producers.sources import SourceRecord
from stream_app.batch import Batch, Span
from stream_app.detectors.memories import IDS
from stream_app.detectors.outcomes import _bounded, _sums
from stream_app.detectors.predicted import Answer, AnswerMemory
from stream_app.model_slot import LoadedModel, Models
from stream_app.pipeline import EventPipeline, OutcomePipeline, Result
from tests.producers.support import AT_MS, synthetic
from tests.stream_app.support import (
    NOW_MS,
    Wire,
    batch_of,
    edited,
    loaded,
    outcome_pipeline,
    pipeline_of,
    wire,
)


@dataclass
class Worker:
    """Both pipelines of a worker, and what it read of patient-outcomes when it took a partition over."""

    events: EventPipeline
    outcomes: OutcomePipeline

    def committed(self) -> None:
        self.events.known.committed()
        self.outcomes.outcomes.committed()

    def aborted(self) -> None:
        self.events.known.aborted()
        self.outcomes.outcomes.aborted()

    def score(self, records: list[SourceRecord], **place: Any) -> Result:
        return self.events(batch_of(list(map(wire, records)), **place), NOW_MS)

    def learn(self, records: list[SourceRecord], **place: Any) -> Result:
        return self.outcomes(batch_of(list(map(wire, records)), topic=OUTCOMES.name, **place), NOW_MS)


@pytest.fixture(scope="module")
def champion(verified: VerifiedBundle) -> LoadedModel:
    return loaded(verified)


@pytest.fixture
def worker(champion: LoadedModel) -> Worker:
    events = pipeline_of(Models(champion))
    return Worker(events, outcome_pipeline(known=events.known))


def visits(count: int, seed: int = 1) -> tuple[list[SourceRecord], list[SourceRecord]]:
    """Return events and their outcomes."""
    records = list(synthetic(seed, outcome_delay_s=0).take(count, AT_MS))
    return records[:count], records[count:]


def told(result: Result) -> Signals:
    ((_, value),) = result.outputs[SIGNALS.name]
    return msgspec.json.decode(value, type=Signals)


def totals(*results: Result) -> dict[str, list[int]]:
    """Return the sums of all results by source."""
    found: dict[str, list[int]] = {}
    for result in results:
        for part in told(result).outcomes if SIGNALS.name in result.outputs else []:
            for source, each in part.sources.items():
                found[source] = [a + b for a, b in zip(found.get(source, [0] * len(each)), each, strict=True)]
    return found


def counted(*results: Result) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result.outcomes)
    return {name: count for name, count in counts.items() if count}


def test_outcomes_are_counted_by_source_and_by_the_score_that_their_event_had(
    worker: Worker, champion: LoadedModel
) -> None:
    events, outcomes = visits(200)
    worker.score(events)
    decoded = champion.decoder(batch_of(list(map(wire, events))), NOW_MS)
    probabilities = champion.score.probabilities(
        champion.columns.of(decoded.records)[1]
    )  # of those too that lack too much for a decision
    scores = {event.event_id: float(score) for event, score in zip(decoded.records, probabilities, strict=True)}
    result = worker.learn(outcomes)
    (part,) = told(result).outcomes
    assert part.digest == champion.bundle.digest
    reference = champion.bundle.manifest.reference_statistics
    assert reference is not None
    bins = len(reference.outcomes.positive)
    expected: dict[str, list[int]] = {}
    for record in outcomes:
        each = expected.setdefault(record.source, [0] * (2 * bins))
        at = sum(scores[record.event_id] > edge for edge in reference.score.edges)
        each[at] += 1
        each[bins + at] += json.loads(record.value or b"")["diagnosis"]
    assert part.sources == expected
    assert (result.outcomes["matched"], counted(result)) == (200, {"matched": 200})


def test_what_a_score_at_the_threshold_decides_is_what_its_bin_decides(champion: LoadedModel) -> None:
    reference = champion.bundle.manifest.reference_statistics
    assert reference is not None
    assert champion.answers is not None
    threshold = champion.bundle.manifest.threshold
    at, below = champion.answers(np.array([threshold, threshold - 0.001]))
    assert (at.bin, below.bin) == (reference.outcomes.flagged, reference.outcomes.flagged - 1)


def test_an_outcome_whose_prediction_is_not_remembered_is_counted_and_no_more(worker: Worker) -> None:
    events, outcomes = visits(10)
    worker.score(events[:6])
    result = worker.learn(outcomes)
    assert counted(result) == {"matched": 6, "unmatched": 4}
    assert Counter(told(result).unmatched) == Counter(record.source for record in outcomes[6:])
    assert sum(map(sum, totals(result).values())) >= 6
    worker.score(events[6:], first_offset=200)
    assert counted(worker.learn(outcomes[6:], first_offset=200)) == {"matched": 4}  # sent again, known now


def test_an_outcome_that_comes_again_counts_once_whatever_it_says_then(worker: Worker) -> None:
    events, outcomes = visits(2)
    worker.score(events)
    first = worker.learn([*outcomes, outcomes[0]])
    worker.committed()
    turned = [turn(record) for record in outcomes]
    again = worker.learn(turned, first_offset=200)
    assert (counted(first), counted(again)) == ({"matched": 2, "repeated": 1}, {"repeated": 2})
    assert SIGNALS.name not in again.outputs


def turn(record: SourceRecord) -> SourceRecord:
    outcome = json.loads(record.value or b"")
    value = json.dumps({**outcome, "diagnosis": 1 - outcome["diagnosis"]}).encode()
    return msgspec.structs.replace(record, value=value)


def test_what_was_aborted_counts_when_it_comes_again(worker: Worker) -> None:
    events, outcomes = visits(4)
    worker.score(events[:2])
    worker.committed()
    worker.score(events[2:], first_offset=102)
    assert counted(worker.learn(outcomes)) == {"matched": 4}
    worker.aborted()
    assert counted(worker.learn(outcomes)) == {"matched": 2, "unmatched": 2}
    worker.aborted()
    worker.score(events[2:], first_offset=102)
    assert counted(worker.learn(outcomes)) == {"matched": 4}


def test_outcomes_in_another_partition_than_their_events_are_found_there(worker: Worker) -> None:
    events, outcomes = visits(6)
    worker.score(events[:3], partition=1)
    worker.score(events[3:], partition=2)
    assert counted(worker.learn(outcomes, partition=2)) == {"matched": 6}


def test_batches_of_several_partitions_and_with_rejected_rows_keep_events_and_answers_together(
    worker: Worker,
) -> None:
    events, outcomes = visits(40)
    broken = edited(events[3], event_id=event_id(1).decode(), features={"age": 900})
    again = events[5]
    rows = [*events[:10], broken, again, *events[10:]]
    batch = batch_of(list(map(wire, rows)))
    spans = [Span(0, 0, 0, range(7)), Span(1, 7, 0, range(13)), Span(2, 20, 0, range(22))]
    worker.events(Batch(batch.topic, spans, batch.keys, batch.values, batch.headers), NOW_MS)
    together = worker.learn(outcomes)
    apart = pipeline_of(worker.events._slot.models)
    other = Worker(apart, outcome_pipeline(known=apart.known))
    other.score(events)
    assert totals(together) == totals(other.learn(outcomes))
    assert counted(together) == {"matched": 40}


def test_whoever_takes_a_partition_over_knows_what_was_predicted_and_which_outcomes_came(
    champion: LoadedModel,
) -> None:
    events, outcomes = visits(30)
    asked: list[tuple[str, int, int, int]] = []

    def history(topic: str, partition: int, end: int, count: int) -> list[Batch]:
        asked.append((topic, partition, end, count))
        if topic == OUTCOMES.name:
            return [batch_of([*map(wire, outcomes[:10]), Wire(b"k", b"garbage")], topic=topic)]
        broken = edited(events[3], event_id=event_id(1).decode(), features={"age": 900})
        return [batch_of(list(map(wire, [broken, *events[:20]])))]

    pipeline = pipeline_of(Models(champion), history=history)
    worker = Worker(pipeline, outcome_pipeline(known=pipeline.known, history=history))
    worker.score(events[20:], partition=3, first_offset=900)
    result = worker.learn(outcomes, partition=3, first_offset=500)
    assert counted(result) == {"matched": 20, "repeated": 10}
    assert asked == [("patient-events", 3, 900, 2 * IDS), ("patient-outcomes", 3, 500, 2 * IDS)]
    plain = pipeline_of(Models(champion))
    before = Worker(plain, outcome_pipeline(known=plain.known))
    before.score(events)
    assert totals(result) == totals(before.learn(outcomes[10:]))
    worker.outcomes.outcomes.reassigned()
    worker.learn(outcomes[:1], partition=3, first_offset=600)
    assert len(asked) == 3


def test_a_history_of_outcomes_that_cannot_be_read_is_asked_for_again(champion: LoadedModel) -> None:
    events, outcomes = visits(2)
    answers = iter([RetryableError("no broker"), ()])

    def history(*_: object) -> tuple[()]:
        answer = next(answers)
        if isinstance(answer, RetryableError):
            raise answer
        return ()

    pipeline = pipeline_of(Models(champion))
    worker = Worker(pipeline, outcome_pipeline(known=pipeline.known, history=history))
    worker.score(events)
    worker.committed()
    with pytest.raises(RetryableError):
        worker.learn(outcomes)
    worker.aborted()
    assert counted(worker.learn(outcomes)) == {"matched": 2}


def test_a_model_without_a_reference_is_not_compared_with_anything(verified: VerifiedBundle) -> None:
    manifest = msgspec.structs.replace(verified.manifest, reference_statistics=None)
    model = loaded(replace(verified, manifest=manifest))
    pipeline = pipeline_of(Models(model))
    worker = Worker(pipeline, outcome_pipeline(known=pipeline.known))
    events, outcomes = visits(3)
    worker.score(events)
    assert counted(worker.learn(outcomes)) == {"unmatched": 3}


@given(st.lists(st.integers(0, 39), max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_batches_add_up_to_the_same_wherever_they_are_cut(champion: LoadedModel, cuts: list[int], order: Any) -> None:
    events, outcomes = visits(40)
    order.shuffle(outcomes)
    edges = [0, *sorted(cuts), 40]

    def sums(parts: list[list[SourceRecord]]) -> dict[str, list[int]]:
        pipeline = pipeline_of(Models(champion))
        worker = Worker(pipeline, outcome_pipeline(known=pipeline.known))
        worker.score(events)
        return totals(*(worker.learn(part) for part in parts if part))

    parts = [outcomes[first:end] for first, end in pairwise(edges)]
    assert sums(parts) == sums([outcomes])


def test_more_sources_than_a_signal_holds_are_one(champion: LoadedModel) -> None:
    answer = Answer("sha256:a", 0, 2)
    many = Counter({(f"ward/{number}", answer, 1): 1 for number in range(MAX_SOURCES + 50)})
    (part,) = _sums(many)
    assert len(part.sources) == MAX_SOURCES + 1
    assert part.sources[""] == [50, 0, 50, 0]
    unmatched = _bounded(Counter({f"ward/{number}": 1 + (number < 3) for number in range(MAX_SOURCES + 50)}))
    assert (len(unmatched), unmatched[""]) == (MAX_SOURCES + 1, 50)


ANSWERS = [Answer("sha256:a", at, 3) for at in range(3)]
STEPS = st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=6), st.booleans(), st.booleans()), max_size=30)


@given(STEPS)
@settings(deadline=None)
def test_a_memory_of_answers_is_a_table_of_the_committed_ones(steps: list[tuple[list[int], bool, bool]]) -> None:
    memory, model, new = AnswerMemory(generation=10_000), dict[int, Answer](), 0
    for answers, look, commit in steps:
        ids = list(range(new, new + len(answers)))
        memory.add(ids, [ANSWERS[at] for at in answers])
        draft = model | {identity: ANSWERS[at] for identity, at in zip(ids, answers, strict=True)}
        if look:
            assert memory.get(range(new + 8)) == [draft.get(identity) for identity in range(new + 8)]
        if commit:
            memory.committed()
            model, new = draft, new + len(answers)
        else:
            memory.aborted()
        assert len(memory) == len(model)
    assert memory.get(range(new + 8)) == [model.get(identity) for identity in range(new + 8)]


def test_answers_are_bounded_and_the_last_generation_is_whole() -> None:
    memory = AnswerMemory(generation=100)
    for number in range(1000):
        memory.add(range(10 * number, 10 * number + 10), ANSWERS[:1] * 10)
        memory.committed()
        assert len(memory) <= 200
        last = range(max(0, 10 * number - 90), 10 * number + 10)
        if number % 7 == 0:
            assert None not in memory.get(last)
