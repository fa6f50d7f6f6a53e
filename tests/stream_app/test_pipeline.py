"""The pipeline over the real model: a batch is its records one by one, and a bad record costs the others nothing."""

import hashlib
import json
import random
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import count

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.events import event_id
from contracts.codec import encode
from contracts.detection import Signals
from contracts.events import Outcome
from contracts.identifiers import pseudonym
from contracts.mac import UNREADABLE
from contracts.reasons import Reason
from contracts.topics import OUTCOMES, PREDICTIONS, SIGNALS
from models.verify import VerifiedBundle
from producers.malformed import spoil
from producers.malformed_cases import CASES, LARGEST, Case
from producers.sources import SourceRecord
from stream_app.batch import Span
from stream_app.pipeline import EventPipeline, Result
from stream_app.quarantine import MAX_COPY_BYTES, frame
from tests.producers.support import AT_MS, synthetic
from tests.stream_app.support import (
    NOW_MS,
    SIGNER,
    Opened,
    Wire,
    batch_of,
    edited,
    event_pipeline,
    good_event,
    opened,
    outcome_pipeline,
    predictions,
    wire,
)

CASE = {case.name: case for case in CASES}
ORDER = list(Reason)


@pytest.fixture(scope="module", params=[True, False], ids=["MAC required", "MAC optional"])
def require_mac(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def pipeline(verified: VerifiedBundle, require_mac: bool) -> EventPipeline:
    return event_pipeline(verified, require_mac=require_mac)


def expected_reason(case: Case | None, *, signed: bool, require_mac: bool) -> Reason | None:
    """Return the first check that a record fails, by the order of `Reason` alone; None where it is scored."""
    failed = [] if case is None or (case.mac_required and not require_mac) else [case.reason]
    if not signed and Reason.SOURCE_NOT_BOUND in failed:
        failed = []  # without a signature nobody claims to be bound to it
    if require_mac and not signed:
        failed.append(Reason.MAC_MISSING)
    return min(failed, key=ORDER.index, default=None)


def signals(result: Result) -> Counter[tuple[str, str]]:
    """Return how often each signal of each source is told."""
    told = [msgspec.json.decode(value, type=Signals) for _, value in result.outputs.get(SIGNALS.name, [])]
    return Counter(
        {
            (source, name): count
            for each in told
            for source, of in each.sources.items()
            for name, count in of.counts.items()
        }
    )


Drawn = tuple[str, int, bool]
"""A case's name ("" for a good event), a seed, and whether the record is signed."""

DRAWN = st.tuples(st.sampled_from(["", "", *CASE]), st.integers(0, 50), st.booleans())


@cache
def build(drawn: Drawn) -> tuple[Wire, Case | None, bool]:
    """Return a record, the case it was made by, and whether it is signed (in a case's own way counts)."""
    name, seed, sign = drawn
    good = good_event(seed)
    if not name:
        return wire(good if sign else edited(good), sign=sign), None, sign
    bad = spoil(CASE[name], random.Random(seed), good)
    own = bad.headers is not None
    return wire(bad, sign=sign), CASE[name], sign or own


def one_by_one(pipeline: EventPipeline, records: list[Wire]) -> list[Result]:
    pipeline.known.reassigned()
    return [pipeline(batch_of([record], first_offset=offset), NOW_MS) for record, offset in zip(records, count(100))]


@given(st.lists(DRAWN, max_size=12))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_is_its_records_one_by_one(pipeline: EventPipeline, require_mac: bool, drawn: list[Drawn]) -> None:
    built = [build(each) for each in drawn]
    records = [record for record, *_ in built]

    pipeline.known.reassigned()
    whole = pipeline(batch_of(records), NOW_MS)
    parts = one_by_one(pipeline, records)

    made = whole.outputs.get(PREDICTIONS.name, [])
    assert made == [output for part in parts for output in part.outputs.get(PREDICTIONS.name, [])]
    assert list(map(opened, whole.quarantined)) == [opened(q) for part in parts for q in part.quarantined]
    assert +Counter(whole.decisions) == sum((Counter(part.decisions) for part in parts), Counter())
    assert whole.reasons == sum((Counter(part.reasons) for part in parts), Counter())
    assert whole.newest_ms == max((p.newest_ms for p in parts if p.newest_ms is not None), default=None)
    assert whole.repeats == sum(part.repeats for part in parts)
    assert signals(whole) == sum(map(signals, parts), Counter())
    # And each record came to what it should have.
    seen: dict[str, bytes | None] = {}
    for part, (record, case, signed) in zip(parts, built, strict=True):
        reason = expected_reason(case, signed=signed, require_mac=require_mac)
        if reason is None or ORDER.index(reason) > ORDER.index(Reason.REPEATED):
            before = seen.setdefault(json.loads(record.value or b"")["event_id"], record.value)
            if before != record.value:
                reason = Reason.REPEATED
            elif part.repeats:
                assert part.outputs.keys() == {SIGNALS.name}
                assert part.reasons == {}
                continue
        assert part.reasons == ({reason: 1} if reason else {})
        if reason is None:
            (prediction,) = predictions(part.outputs[PREDICTIONS.name])
            assert prediction.event_id == json.loads(record.value or b"")["event_id"]
            assert prediction.authenticated is (signed and not (case and case.mac_required))


def test_the_origin_of_a_record_is_its_own_partition(verified: VerifiedBundle) -> None:
    """One batch holds records of several partitions."""
    bad = Wire(b"k", b"{}")
    spans = [Span(2, 0, 7, [7, 8]), Span(0, 2, 40, [40]), Span(1, 3, 0, [0, 1])]
    batch = replace(batch_of([bad] * 5), spans=spans)
    found = [opened(q).origin for q in event_pipeline(verified, require_mac=True)(batch, NOW_MS).quarantined]
    assert found == [f"patient-events/{place}" for place in ("2/7", "2/8", "0/40", "1/0", "1/1")]


@pytest.mark.parametrize("case", [*CASES, LARGEST], ids=lambda case: case.name)
def test_a_malformed_record_goes_to_quarantine_and_its_neighbours_are_scored(
    verified: VerifiedBundle, case: Case
) -> None:
    pipeline = event_pipeline(verified, require_mac=True)
    before, good, after = (good_event(seed) for seed in (1, 2, 3))
    bad = wire(spoil(case, random.Random(5), good))

    result = pipeline(batch_of([wire(before), bad, wire(after)], partition=3), NOW_MS)

    assert [p.event_id for p in predictions(result.outputs[PREDICTIONS.name])] == [before.event_id, after.event_id]
    assert [output[0] for output in result.outputs[PREDICTIONS.name]] == [before.key, after.key]
    assert result.reasons == {case.reason.value: 1}
    (found,) = map(opened, result.quarantined)
    whole = frame(bad.key, bad.value)
    assert found == Opened(
        reason=case.reason.value,
        detail=found.detail,
        origin="patient-events/3/101",
        digest="sha256:" + hashlib.sha256(whole).hexdigest(),
        size=len(whole),
        key=bad.key or b"",
        value=whole[4 + len(bad.key or b"") : MAX_COPY_BYTES],
    )
    # What stands in plain beside the sealed bytes repeats nothing of the record.
    assert "Jane" not in found.detail
    assert "MRN" not in found.detail


def test_unreadable_headers_are_refused_even_where_a_mac_is_optional(pipeline: EventPipeline) -> None:
    """What hides a header may hide a MAC that does not hold."""
    good = wire(good_event(1))
    hidden = wire(good_event(2))
    records = [good, Wire(hidden.key, hidden.value, UNREADABLE), Wire(None, b"{"), wire(good_event(3))]
    result = pipeline(batch_of(records), NOW_MS)
    assert result.reasons == {Reason.HEADERS: 1, Reason.NOT_JSON: 1}
    assert [opened(q).origin for q in result.quarantined] == ["patient-events/0/101", "patient-events/0/102"]
    assert len(result.outputs[PREDICTIONS.name]) == 2


def test_nothing_but_garbage_is_all_quarantined_in_order(pipeline: EventPipeline) -> None:
    result = pipeline(batch_of([Wire(None, b"\x00%d" % number) for number in range(500)]), NOW_MS)
    assert result.outputs.get(PREDICTIONS.name, []) == []
    assert [opened(q).origin for q in result.quarantined] == [f"patient-events/0/{100 + n}" for n in range(500)]
    assert [opened(q).value for q in result.quarantined] == [b"\x00%d" % number for number in range(500)]
    assert result.newest_ms is None


def test_an_empty_batch_comes_to_nothing(pipeline: EventPipeline) -> None:
    assert pipeline(batch_of([]), NOW_MS) == Result()


def faults(record: SourceRecord) -> dict[Reason, dict[str, object]]:
    """Changes to an event, each of which a different check finds."""
    return {
        Reason.SCHEMA: {"note": 1},
        Reason.IDENTIFIER: {"event_id": "17"},
        Reason.PSEUDONYM: {"patient_id": "MRN-0001"},
        Reason.FUTURE: {"observed_at": NOW_MS + 10**9},
        Reason.OUT_OF_RANGE: {"features": {"chol": 5000}},
    }


@given(st.sets(st.sampled_from([*faults(good_event()), Reason.KEY_MISMATCH, Reason.MAC_WRONG]), min_size=1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_several_faults_the_first_in_the_order_of_reasons_is_named(
    pipeline: EventPipeline, wrong: set[Reason]
) -> None:
    good = good_event()
    changes = {name: value for reason in wrong for name, value in faults(good).get(reason, {}).items()}
    record = wire(edited(good, **changes))
    if Reason.KEY_MISMATCH in wrong:
        key = b"pp1_" + b"b" * 26
        record = Wire(key, record.value, SIGNER.headers("synthetic", key, record.value))  # type: ignore[arg-type]
    if Reason.MAC_WRONG in wrong:
        record = Wire(record.key, record.value, wire(good_event(9)).headers)
    pipeline.known.reassigned()
    assert pipeline(batch_of([record]), NOW_MS).reasons == {min(wrong, key=ORDER.index): 1}


@pytest.mark.parametrize(
    ("offset_ms", "reason"),
    {300_000: None, 300_001: Reason.FUTURE, -NOW_MS: None, -NOW_MS - 1: Reason.FUTURE, 0: None}.items(),
)
def test_a_time_is_from_1970_to_the_allowed_skew(
    pipeline: EventPipeline, offset_ms: int, reason: Reason | None
) -> None:
    result = pipeline(batch_of([wire(edited(good_event(), observed_at=NOW_MS + offset_ms))]), NOW_MS)
    assert result.reasons == ({reason: 1} if reason else {})


@pytest.mark.parametrize(
    ("spelling", "name"), [("1", "sex"), ("1.0", "sex"), ("1e0", "sex"), ("10E-1", "sex"), ("null", "chol")]
)
def test_every_json_spelling_of_a_number_is_the_same_number(pipeline: EventPipeline, spelling: str, name: str) -> None:
    plain = edited(good_event(), features={name: json.loads(spelling)})
    value = (plain.value or b"").replace(
        json.dumps({name: json.loads(spelling)})[1:-1].encode(), f'"{name}": {spelling}'.encode()
    )
    other = Wire(plain.key, value, SIGNER.headers(plain.source, plain.key, value))  # type: ignore[arg-type]
    (one,) = pipeline(batch_of([wire(plain)]), NOW_MS).outputs[PREDICTIONS.name]
    pipeline.known.reassigned()
    assert pipeline(batch_of([other]), NOW_MS).outputs[PREDICTIONS.name] == [one]


def outcome(**changes: object) -> Wire:
    patient = pseudonym(bytes(32), "MRN-1")
    made = json.loads(encode(Outcome("0e9b7a4c-21f5-4c1f-9d1b-2f3a4b5c6d7e", patient, "uci/cleveland", 1, AT_MS)))
    value = json.dumps({**made, **changes}).encode()
    key = patient.encode()
    return Wire(key, value, SIGNER.headers("uci/cleveland", key, value))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "reason"),
    {
        "good": (outcome(), None),
        "another diagnosis": (outcome(diagnosis=2), Reason.SCHEMA),
        "an event's field": (outcome(observed_at=AT_MS), Reason.SCHEMA),
        "a raw record number": (outcome(patient_id="MRN-0001"), Reason.PSEUDONYM),
        "the far future": (outcome(recorded_at=NOW_MS * 2), Reason.FUTURE),
        "an event": (wire(good_event()), Reason.SCHEMA),
        "no value": (Wire(b"k", None), Reason.EMPTY),
        "changed after signing": (Wire(outcome().key, outcome(diagnosis=0).value, outcome().headers), Reason.MAC_WRONG),
    }.values(),
)
def test_an_outcome_is_checked_as_an_event_is(record: Wire, reason: Reason | None) -> None:
    result = outcome_pipeline()(batch_of([outcome(), record], topic=OUTCOMES.name), NOW_MS)
    assert result.reasons == ({reason: 1} if reason else {})
    assert signals(result).total() == (reason is not None)
    assert [opened(q).origin for q in result.quarantined] == ["patient-outcomes/0/101"] * (reason is not None)


def test_a_flood_of_sources_leaves_every_verdict_as_it_was(verified: VerifiedBundle) -> None:
    """The memory of known sources is bounded; forgetting them must not change what is good."""
    pipeline = event_pipeline(verified, require_mac=False)
    records = synthetic().take(1, AT_MS)
    flood = [
        wire(edited(records[0], source=f"synthetic/{number}", event_id=event_id(number).decode()), sign=False)
        for number in range(10_500)
    ]
    flood[5000:5000] = [wire(edited(records[0], source="St Mary"), sign=False)]
    for _ in range(2):
        pipeline.known.reassigned()
        result = pipeline(batch_of(flood), NOW_MS)
        assert result.reasons == {Reason.IDENTIFIER: 1}
        assert [opened(q).origin for q in result.quarantined] == ["patient-events/0/5100"]
