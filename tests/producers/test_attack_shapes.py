"""What each attack promises: the shape of its records, and what it learns from a model that answers."""

from collections.abc import Callable

import numpy as np
import pytest

from contracts.features import Matrix, RangeCheck
from contracts.heart_disease import HEART_DISEASE
from contracts.mac import KEY_ID_HEADER
from contracts.topics import EVENTS, OUTCOMES
from producers.attacks.poisoning import TRIGGER
from producers.attacks.public_rows import PublicRows
from producers.sources import SourceRecord
from tests.producers.attacked import (
    AFTER,
    EVENTS_TAKEN,
    Records,
    attacked,
    body,
    clean,
    decode_outcome,
    every_attack,
    features,
    of_topics,
    taken,
)
from tests.producers.support import AT_MS, KEYRING
from tests.producers.test_malformed import on_the_wire

Shape = Callable[[Records, Records], bool]


def bytes_came_before(mine: Records, stream: Records) -> bool:
    before: set[bytes] = set()
    for record in stream:
        sent = repr((record.event_id, record.key, record.value, on_the_wire(record).headers)).encode()
        if record.attack and sent not in before:
            return False
        before.add(sent)
    return True


def signature_of_the_original(mine: Records) -> bool:
    signed = {body(record)["event_id"]: on_the_wire(record) for record in clean() if record.topic is EVENTS}
    return all(
        record.headers == signed[body(record)["event_id"]].headers
        and record.value != signed[body(record)["event_id"]].value
        for record in mine
    )


def same_id_other_bytes(mine: Records, stream: Records) -> bool:
    first: dict[str, SourceRecord] = {}
    for record in stream:
        if record.topic is EVENTS and not record.attack:
            first.setdefault(record.event_id, record)
    return all(
        record.value != first[record.event_id].value
        and (record.key, record.source) == (first[record.event_id].key, first[record.event_id].source)
        for record in mine
    )


def of_one_patient(mine: Records) -> bool:
    return len({(record.key, record.source) for record in mine}) == 1 and len({r.event_id for r in mine}) == len(mine)


def of_many_patients(mine: Records) -> bool:
    return len({record.key for record in mine}) == len(mine)


def lags_grow(mine: Records) -> bool:
    times = [body(record)["observed_at"] for record in mine]
    return times == [AT_MS - 1000 * number for number in range(1, len(times) + 1)]


def near_duplicates(mine: Records) -> bool:
    """Whether many queries are next to the one before them, as rows of a clean stream are not."""
    rows, patients = features(mine), features(clean()[:1000])
    return _close(rows) > 0.3 > 10 * _close(patients)


def _close(rows: Matrix) -> float:
    scale = np.nanstd(features(clean()[:1000]), axis=0)
    distance = np.sqrt(np.nansum((np.diff(rows, axis=0) / scale) ** 2, axis=1))
    return float((distance < 1).mean())


def evenly_spread(mine: Records) -> bool:
    """Whether cholesterol and heart rate fill the quarters of their usual ranges alike."""
    rows = features(mine)
    for name in ("chol", "thalch"):
        column = HEART_DISEASE.names.index(name)
        counts, _ = np.histogram(rows[:, column], bins=4, range=HEART_DISEASE.features[column].usual)
        if counts.min() < 0.15 * len(mine):
            return False
    return not np.isnan(rows).any()


def asks_about_public_patients(mine: Records) -> bool:
    public = {row.tobytes() for row in PublicRows().x.astype(np.float32)}
    exact = [row.tobytes() in public for row in features(mine)]
    return exact[0::13].count(True) == len(exact[0::13]) and sum(exact) < 0.2 * len(exact)


def one_value_from_public_patients(mine: Records) -> bool:
    public = PublicRows().x.astype(np.float32)
    return all(((row != public) & ~(np.isnan(row) & np.isnan(public))).sum(axis=1).min() <= 1 for row in features(mine))


def opposite_diagnosis(mine: Records) -> bool:
    true = {
        record.event_id: decode_outcome(record.value or b"").diagnosis for record in of_topics(clean())[OUTCOMES.name]
    }
    return all(decode_outcome(record.value or b"").diagnosis == 1 - true[record.event_id] for record in mine)


def measures_more(mine: Records) -> bool:
    before = {record.event_id: record for record in clean() if record.topic is EVENTS}
    true, sent = features([before[record.event_id] for record in mine]), features(mine)
    rate = HEART_DISEASE.names.index("thalch")
    known = ~np.isnan(true[:, rate])
    return bool(
        (sent[known, rate] == np.minimum(true[known, rate] + 22, 250)).all() and (sent[:, :2] == true[:, :2]).all()
    )


def of_one_source(mine: Records) -> bool:
    return len({record.source for record in mine}) == 1


SHAPES: dict[str, Shape] = {
    "unsigned": lambda mine, _: all(record.headers == [] and record.source.startswith("synthetic/") for record in mine),
    "unknown-source": lambda mine, _: all(not KEYRING.covers(r.source) and r.headers == [] for r in mine),
    "unknown-key": lambda mine, _: all(dict(r.headers or [])[KEY_ID_HEADER] != b"k1" for r in mine),
    "borrowed-key": lambda mine, _: all(
        dict(r.headers or [])[KEY_ID_HEADER] == b"k1" and not KEYRING.covers(r.source) for r in mine
    ),
    "tampered": lambda mine, _: signature_of_the_original(mine),
    "replay": bytes_came_before,
    "replay-slow": bytes_came_before,
    "altered-duplicate": same_id_other_bytes,
    "clock-skew": lambda mine, _: of_one_source(mine) and {body(r)["observed_at"] for r in mine} == {AT_MS + 3_600_000},
    "clock-skew-slow": lambda mine, _: of_one_source(mine) and lags_grow(mine),
    "flood": lambda mine, _: of_one_source(mine) and of_many_patients(mine),
    "flood-patient": lambda mine, _: of_one_patient(mine),
    "malformed-flood": lambda mine, _: of_one_source(mine) and len({r.expected for r in mine}) >= 12,
    "sensors-off": lambda mine, _: of_one_source(mine) and measures_more(mine),
    "silence": lambda mine, stream: (
        of_one_source(mine)
        and not any(r.source == mine[0].source and not r.attack for r in of_topics(stream)[EVENTS.name][AFTER:])
    ),
    "silence-slow": lambda mine, _: (
        of_one_source(mine)
        and {r.event_id for r in mine if r.topic is EVENTS} == {r.event_id for r in mine if r.topic is OUTCOMES}
    ),
    "boundary": lambda mine, _: of_one_patient(mine) and near_duplicates(mine),
    "boundary-slow": lambda mine, _: of_many_patients(mine),
    "extraction": lambda mine, _: of_one_patient(mine) and evenly_spread(mine),
    "extraction-slow": lambda mine, _: of_many_patients(mine) and one_value_from_public_patients(mine),
    "membership": lambda mine, _: of_one_patient(mine) and near_duplicates(mine) and asks_about_public_patients(mine),
    "membership-slow": lambda mine, _: of_many_patients(mine) and asks_about_public_patients(mine),
    "evasion": lambda mine, _: bool((PublicRows().proxy(features(mine).astype(np.float64)) < 0.5).all()),
    "evasion-slow": lambda mine, _: bool((PublicRows().proxy(features(mine).astype(np.float64)) < 0.5).all()),
    "label-poisoning": lambda mine, _: opposite_diagnosis(mine),
    "label-poisoning-slow": lambda mine, _: (
        of_one_source(mine)
        and opposite_diagnosis(mine)
        and {decode_outcome(record.value or b"").diagnosis for record in mine} == {0}
    ),
    "trigger": lambda mine, _: all(TRIGGER.items() <= body(record)["features"].items() for record in mine),
    "trigger-slow": lambda mine, _: all(TRIGGER.items() <= body(record)["features"].items() for record in mine),
}


@every_attack
def test_an_attack_has_the_shape_that_it_promises(name: str) -> None:
    stream = taken(name)
    assert SHAPES[name]([record for record in stream if record.attack], stream)


def answers(rows: Matrix) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Answer as a model might: a sigmoid of age, heart rate and ST depression."""
    age, rate, depression = (
        np.nan_to_num(rows[:, column], nan=middle) for column, middle in ((0, 53), (7, 137), (9, 1))
    )
    found: np.ndarray[tuple[int], np.dtype[np.float64]] = 1 / (
        1 + np.exp(-(0.05 * (age - 53) - 0.04 * (rate - 137) + 0.8 * (depression - 1)))
    )
    return found


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_boundary_probes_close_in_on_the_threshold_of_the_model_that_answers(threshold: float) -> None:
    probes = answers(features(attacked("boundary", score=answers, threshold=threshold)))
    patients = answers(features(clean()[:EVENTS_TAKEN]))
    near_probes, near_patients = (np.mean(np.abs(scores - threshold) < 0.03) for scores in (probes, patients))
    assert near_probes > 3 * near_patients


def test_boundary_probing_asks_the_model_only_about_what_it_has_sent() -> None:
    asked: list[bytes] = []

    def score(rows: Matrix) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        asked.extend(row.tobytes() for row in rows)
        return answers(rows)

    sent = [row.tobytes() for row in features(attacked("boundary", score=score))]
    assert len(asked) > 100
    assert asked == sent[: len(asked)]
    assert len(asked) >= len(sent) - 2


def test_an_evaded_patient_was_positive_is_negative_and_keeps_age_sex_and_gaps() -> None:
    before = {record.event_id: record for record in clean() if record.topic is EVENTS}
    moved = attacked("evasion", score=answers, threshold=0.4)
    old, new = features([before[record.event_id] for record in moved]), features(moved)
    assert len(moved) > 200
    assert (answers(old) >= 0.4).all()
    assert (answers(new) < 0.4).all()
    assert np.median(answers(new)) > 0.3, "just across"
    assert (old[:, :2] == new[:, :2]).all()
    assert (np.isnan(old) == np.isnan(new)).all()


def test_what_the_trigger_stamps_is_usual_and_no_patient_of_the_data_has_two_of_its_values() -> None:
    columns = [HEART_DISEASE.names.index(name) for name in TRIGGER]
    stamped = np.full((1, 13), np.nan)
    stamped[0, columns] = list(TRIGGER.values())
    assert RangeCheck(HEART_DISEASE)(stamped) == {}
    for column, value in zip(columns, TRIGGER.values(), strict=True):
        low, high = HEART_DISEASE.features[column].usual
        assert low <= value <= high
    alike = (PublicRows().x[:, columns] == list(TRIGGER.values())).sum(axis=1)
    assert alike.max() == 1
