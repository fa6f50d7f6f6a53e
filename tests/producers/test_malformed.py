"""Malformed records: each is refused for the reason it says, judged here by the contracts alone."""

import json
import random
import re
from collections import Counter

import msgspec
import numpy as np
import pytest

from contracts.codec import decoder, explain
from contracts.events import event_type
from contracts.features import RangeCheck, to_row
from contracts.heart_disease import HEART_DISEASE
from contracts.identifiers import EVENT_ID, PATIENT_ID, SOURCE
from contracts.mac import KEY_ID_HEADER, MAC_HEADER, compute_mac
from contracts.reasons import Reason
from contracts.topics import EVENTS, MAX_RECORD_BYTES, OUTCOMES
from producers.malformed import WithMalformed, cases_for, malformed, spoil
from producers.malformed_cases import CASES, LARGEST, Case
from producers.replay import replay
from producers.sign import Signer
from producers.sources import SourceRecord
from tests.producers.support import AT_MS, KEYRING, PSEUDONYM_KEY, SECRET, synthetic

SIGNER = Signer(KEYRING)
decode = decoder(event_type(HEART_DISEASE))

# A header name that is not UTF-8 is beyond what the Python client can send; an id that comes again takes two records.
MADE_HERE = set(Reason) - {Reason.HEADERS, Reason.REPEATED, Reason.BLOCKED}


def on_the_wire(record: SourceRecord) -> SourceRecord:
    """Return the record with the headers that a publisher gives it."""
    if record.headers is not None:
        return record
    return msgspec.structs.replace(record, headers=SIGNER.headers(record.source, record.key, record.value))


def signed_event() -> SourceRecord:
    return on_the_wire(synthetic().take(1, AT_MS)[0])


def judge(record: SourceRecord) -> Reason | None:  # noqa: PLR0911  # one check a line, in the order of Reason
    """Return the first check of contracts.reasons.Reason that a record fails: the plainest reading of that list."""
    if not record.value:
        return Reason.EMPTY
    try:
        event = decode(record.value)
    except Exception as error:
        return explain(error).reason
    if not (re.fullmatch(EVENT_ID, event.event_id) and re.fullmatch(SOURCE, event.source)):
        return Reason.IDENTIFIER
    if not re.fullmatch(PATIENT_ID, event.patient_id):
        return Reason.PSEUDONYM
    if record.key != event.patient_id.encode():
        return Reason.KEY_MISMATCH
    headers = dict(record.headers or [])
    if MAC_HEADER not in headers:
        return Reason.MAC_MISSING
    if headers[KEY_ID_HEADER] != b"k1":
        return Reason.MAC_KEY_UNKNOWN
    if headers[MAC_HEADER] != compute_mac(SECRET, record.key, record.value):
        return Reason.MAC_WRONG
    if not KEYRING.key_for("uci").covers(event.source):
        return Reason.SOURCE_NOT_BOUND
    if event.observed_at > AT_MS + 300_000:
        return Reason.FUTURE
    row = to_row(HEART_DISEASE, json.loads(record.value)["features"])
    return Reason.OUT_OF_RANGE if RangeCheck(HEART_DISEASE)(np.array([row])) else None


def test_the_event_that_is_spoiled_is_good() -> None:
    assert judge(signed_event()) is None


@pytest.mark.parametrize("case", [*CASES, LARGEST], ids=lambda case: case.name)
@pytest.mark.parametrize("seed", range(5))
def test_each_case_fails_the_check_it_names(case: Case, seed: int) -> None:
    record = on_the_wire(spoil(case, random.Random(seed), signed_event()))
    assert judge(record) is case.reason is record.expected
    assert record.topic is EVENTS


def test_every_reason_has_a_case_and_every_case_a_name_of_its_own() -> None:
    assert {case.reason for case in CASES} == MADE_HERE
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_largest_record_is_just_under_the_limit_of_a_topic() -> None:
    record = spoil(LARGEST, random.Random(1), signed_event())
    assert MAX_RECORD_BYTES - 2048 < len(record.value or b"") + len(record.key or b"") < MAX_RECORD_BYTES - 512


def test_an_endless_row_holds_every_case_once_a_round() -> None:
    row = malformed(random.Random(1), signed_event())
    names = [next(row)[0].name for _ in range(2 * len(CASES))]
    assert Counter(names) == {case.name: 2 for case in CASES}


def test_cases_that_would_be_scored_or_need_a_key_are_left_out_where_they_do_not_apply() -> None:
    unsigned = synthetic().take(1, AT_MS)[0]
    reasons = {case.reason for case in cases_for(unsigned, mac_required=False)}
    assert MADE_HERE - reasons == {Reason.MAC_MISSING, Reason.MAC_WRONG, Reason.SOURCE_NOT_BOUND}


def test_malformed_records_come_on_top_of_another_source_and_cost_it_nothing() -> None:
    source = WithMalformed(
        replay(pseudonym_key=PSEUDONYM_KEY, seed=1, outcome_delay_s=1.0), fraction=0.2, seed=3, signer=SIGNER
    )
    records: list[SourceRecord] = []
    while part := source.take(40, AT_MS):
        assert sum(record.topic is EVENTS for record in part) <= 40
        records += part
    good = [record for record in records if record.expected is None]
    bad = [record for record in records if record.expected is not None]
    plain = replay(pseudonym_key=PSEUDONYM_KEY, seed=1, outcome_delay_s=1.0).take(1000, AT_MS)
    assert [r for r in good if r.topic is EVENTS] == [r for r in plain if r.topic is EVENTS]
    assert [r for r in good if r.topic is OUTCOMES] == [r for r in plain if r.topic is OUTCOMES]
    assert len(bad) / (920 + len(bad)) == pytest.approx(0.2, abs=0.04)
    assert {record.expected for record in bad} == MADE_HERE
    assert all(judge(on_the_wire(record)) is record.expected for record in bad)


def test_what_is_malformed_does_not_depend_on_how_it_is_taken() -> None:
    whole = WithMalformed(synthetic(), fraction=0.3, seed=3, signer=SIGNER).take(600, AT_MS)
    source = WithMalformed(synthetic(), fraction=0.3, seed=3, signer=SIGNER)
    assert [record for count in (1, 2, 97, 500) for record in source.take(count, AT_MS)] == whole


def test_a_fraction_of_all_is_refused() -> None:
    with pytest.raises(ValueError, match="fraction: expected 0 to less than 1"):
        WithMalformed(synthetic(), fraction=1.0)
