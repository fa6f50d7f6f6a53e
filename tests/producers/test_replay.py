"""The replay of the UCI patients."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from contracts.events import Outcome, event_type
from contracts.features import RangeCheck
from contracts.heart_disease import HEART_DISEASE
from contracts.identifiers import pseudonym
from contracts.topics import EVENTS, OUTCOMES
from producers.replay import replay
from producers.sources import SourceRecord
from tests.producers.support import AT_MS, PSEUDONYM_KEY

Decoded = list[dict[str, object]]


@pytest.fixture(scope="module")
def records() -> list[SourceRecord]:
    return list(replay(pseudonym_key=PSEUDONYM_KEY, outcome_delay_s=2.5, seed=1).take(10_000, AT_MS))


@pytest.fixture(scope="module")
def matrix(records: list[SourceRecord]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    events = [msgspec.json.decode(record.value or b"") for record in records if record.topic is EVENTS]
    return np.array([list(event["features"].values()) for event in events], dtype=np.float64)


def test_every_patient_is_one_event_and_one_outcome(records: list[SourceRecord]) -> None:
    assert Counter(record.topic.name for record in records) == {EVENTS.name: 920, OUTCOMES.name: 920}
    assert len({record.key for record in records}) == 920
    assert len({record.event_id for record in records}) == 920


def test_sites_are_part_of_the_source(records: list[SourceRecord]) -> None:
    counts = Counter(record.source for record in records if record.topic is EVENTS)
    assert counts == {"uci/cleveland": 304, "uci/hungary": 293, "uci/long-beach": 200, "uci/switzerland": 123}


def test_every_event_decodes_strictly_and_names_itself_as_its_record_does(records: list[SourceRecord]) -> None:
    decode = msgspec.json.Decoder(event_type(HEART_DISEASE)).decode
    for record in records:
        if record.topic is EVENTS:
            event = decode(record.value or b"")
            assert (event.event_id, event.patient_id.encode(), event.source, event.observed_at) == (
                record.event_id,
                record.key,
                record.source,
                AT_MS,
            )


def test_patients_are_pseudonyms_of_their_record_numbers(records: list[SourceRecord]) -> None:
    assert records[0].key == pseudonym(PSEUDONYM_KEY, "uci-1").encode()


@pytest.mark.parametrize(
    ("feature", "missing"),
    # Empty cells of the file, plus its disguised zeros: 1 of trestbps, 172 of chol.
    [("age", 0), ("trestbps", 59 + 1), ("chol", 30 + 172), ("oldpeak", 62), ("ca", 611), ("thal", 486), ("fbs", 90)],
)
def test_empty_cells_and_disguised_zeros_are_null(
    matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]], feature: str, missing: int
) -> None:
    assert np.isnan(matrix[:, HEART_DISEASE.names.index(feature)]).sum() == missing


def test_a_real_zero_stays_a_zero(matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    assert (matrix[:, HEART_DISEASE.names.index("oldpeak")] == 0).sum() == 370


def test_no_real_patient_is_outside_a_hard_range(matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    assert RangeCheck(HEART_DISEASE)(matrix) == {}


def test_the_first_patient_reads_as_in_the_file(records: list[SourceRecord]) -> None:
    assert b'{"age":63,"sex":1,"cp":1,"trestbps":145,"chol":233,"fbs":1,"restecg":2,"thalch":150,"exang":0,' in (
        records[0].value or b""
    )


def test_the_outcome_is_disease_from_num_1_on_and_comes_after_the_delay(records: list[SourceRecord]) -> None:
    outcomes = [record for record in records if record.topic is OUTCOMES]
    decoded = [msgspec.json.decode(record.value or b"", type=Outcome) for record in outcomes]
    assert sum(outcome.diagnosis for outcome in decoded) == 920 - 411
    assert {record.delay_s for record in outcomes} == {2.5}
    assert {outcome.recorded_at for outcome in decoded} == {AT_MS + 2500}
    events = {record.event_id: record.key for record in records if record.topic is EVENTS}
    assert all(events[outcome.event_id] == outcome.patient_id.encode() for outcome in decoded)


def test_without_a_delay_there_are_no_outcomes() -> None:
    records = replay(pseudonym_key=PSEUDONYM_KEY, outcome_delay_s=None).take(1000, AT_MS)
    assert {record.topic.name for record in records} == {EVENTS.name}


def test_the_records_do_not_depend_on_how_they_are_taken(records: list[SourceRecord]) -> None:
    source = replay(pseudonym_key=PSEUDONYM_KEY, outcome_delay_s=2.5, seed=1)
    taken: list[SourceRecord] = []
    while part := source.take(7, AT_MS):
        taken += part
    assert taken == records
    assert source.take(7, AT_MS) == []
