"""Synthetic patients: the same by seed, like the UCI data in distribution, and returning."""

import re
from collections import Counter, defaultdict

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from contracts.events import Outcome, event_type
from contracts.features import RangeCheck
from contracts.heart_disease import HEART_DISEASE
from contracts.identifiers import EVENT_ID, PATIENT_ID
from contracts.topics import EVENTS, OUTCOMES
from producers.event_ids import EventIds
from producers.replay import replay
from producers.sources import SourceRecord
from tests.producers.support import AT_MS, PSEUDONYM_KEY, synthetic

SITES = ("cleveland", "hungary", "long-beach", "switzerland")
NAMES = HEART_DISEASE.names
Sites = dict[str, npt.NDArray[np.float64]]


def by_site(records: list[SourceRecord]) -> Sites:
    rows = defaultdict(list)
    for record in records:
        if record.topic is EVENTS:
            features = msgspec.json.decode(record.value or b"")["features"]
            rows[record.source.split("/")[1]].append([features[name] for name in NAMES])
    return {site: np.array(values, dtype=np.float64) for site, values in rows.items()}


def correlation(pairs: npt.NDArray[np.float64]) -> float:
    present = pairs[~np.isnan(pairs).any(axis=1)]
    one, two = ((present - present.mean(axis=0)) / present.std(axis=0)).T
    return float((one * two).mean())


@pytest.fixture(scope="module")
def real() -> Sites:
    return by_site(list(replay(pseudonym_key=PSEUDONYM_KEY).take(1000, AT_MS)))


@pytest.fixture(scope="module")
def made() -> Sites:
    return by_site(list(synthetic(patients=20_000).take(20_000, AT_MS)))


def test_the_seed_fixes_everything_but_the_time_however_it_is_taken() -> None:
    whole = list(synthetic(7, outcome_delay_s=1.0).take(3000, AT_MS))
    source = synthetic(7, outcome_delay_s=1.0)
    parts = [record for count in (1, 1023, 1, 975, 1000) for record in source.take(count, AT_MS)]

    def order(record: SourceRecord) -> tuple[str, str]:
        return record.topic.name, record.event_id

    assert sorted(whole, key=order) == sorted(parts, key=order)
    assert [r for r in whole if r.topic is EVENTS] == [r for r in parts if r.topic is EVENTS]


def test_another_seed_gives_other_patients_and_other_events() -> None:
    one, two = synthetic(1).take(500, AT_MS), synthetic(2).take(500, AT_MS)
    assert not {record.key for record in one} & {record.key for record in two}
    assert not {record.event_id for record in one} & {record.event_id for record in two}


def test_every_event_decodes_strictly_with_identifiers_of_their_form_and_values_in_range() -> None:
    decode = msgspec.json.Decoder(event_type(HEART_DISEASE)).decode
    source = synthetic()
    for at_ms in (AT_MS, AT_MS + 5):
        for record in source.take(1500, at_ms):
            event = decode(record.value or b"")
            assert re.fullmatch(EVENT_ID, event.event_id)
            assert re.fullmatch(PATIENT_ID, event.patient_id)
            assert record.key == event.patient_id.encode()
            assert record.source == event.source
            assert record.source.removeprefix("synthetic/") in SITES
            assert event.observed_at == at_ms


def test_no_value_is_outside_its_hard_range_or_codes(made: Sites) -> None:
    assert all(RangeCheck(HEART_DISEASE)(values) == {} for values in made.values())


def test_sites_keep_their_shares(real: Sites, made: Sites) -> None:
    for site in SITES:
        assert len(made[site]) / 20_000 == pytest.approx(len(real[site]) / 920, abs=0.02)


@pytest.mark.parametrize("site", SITES)
def test_missingness_is_that_of_the_site(real: Sites, made: Sites, site: str) -> None:
    assert np.isnan(made[site]).mean(axis=0) == pytest.approx(np.isnan(real[site]).mean(axis=0), abs=0.04)


@pytest.mark.parametrize("site", SITES)
def test_means_and_spreads_are_those_of_the_site(real: Sites, made: Sites, site: str) -> None:
    for column, name in enumerate(NAMES):
        if np.isnan(real[site][:, column]).mean() > 0.9:
            continue  # too few values to compare
        spread = float(np.nanstd(real[site][:, column]))
        difference = np.nanmean(made[site][:, column]) - np.nanmean(real[site][:, column])
        assert abs(difference) <= 0.1 * spread + 0.01, name
        assert np.nanstd(made[site][:, column]) == pytest.approx(spread, rel=0.12, abs=0.02), name


def test_what_goes_together_stays_together(real: Sites, made: Sites) -> None:
    for one, two in (("age", "thalch"), ("exang", "oldpeak"), ("slope", "oldpeak"), ("cp", "exang")):
        columns = [NAMES.index(one), NAMES.index(two)]
        want, got = (correlation(sites["cleveland"][:, columns]) for sites in (real, made))
        assert abs(want) > 0.25
        assert got == pytest.approx(want, abs=0.08), (one, two)


def test_measurements_are_not_copies_of_real_rows(real: Sites, made: Sites) -> None:
    known = {tuple(row) for row in np.nan_to_num(real["cleveland"], nan=-1)}
    copies = sum(tuple(row) in known for row in np.nan_to_num(made["cleveland"], nan=-1))
    assert copies / len(made["cleveland"]) < 0.02


def test_patients_return_with_the_same_site_age_and_codes_and_other_measurements() -> None:
    visits = defaultdict(list)
    for record in synthetic(patients=50).take(2000, AT_MS):
        visits[record.key].append(msgspec.json.decode(record.value or b""))
    assert len(visits) == 50
    for of_patient in visits.values():
        assert len(of_patient) > 1
        for fixed in ("age", "sex", "cp", "thal"):
            assert len({visit["features"][fixed] for visit in of_patient}) == 1
        assert len({visit["source"] for visit in of_patient}) == 1
    assert max(len({visit["features"]["thalch"] for visit in of_patient}) for of_patient in visits.values()) > 5


def test_outcomes_follow_their_events_with_the_prevalence_of_the_site() -> None:
    records = synthetic(patients=20_000, outcome_delay_s=2.0).take(20_000, AT_MS)
    outcomes = [msgspec.json.decode(r.value or b"", type=Outcome) for r in records if r.topic is OUTCOMES]
    events = {r.event_id: r.key for r in records if r.topic is EVENTS}
    assert {outcome.event_id: outcome.patient_id.encode() for outcome in outcomes} == events
    sick = Counter(outcome.source for outcome in outcomes if outcome.diagnosis)
    every = Counter(outcome.source for outcome in outcomes)
    # UCI: 139 of 304 in Cleveland, 115 of 123 in Switzerland.
    assert sick["synthetic/cleveland"] / every["synthetic/cleveland"] == pytest.approx(139 / 304, abs=0.03)
    assert sick["synthetic/switzerland"] / every["synthetic/switzerland"] == pytest.approx(115 / 123, abs=0.03)


def test_a_pool_without_patients_is_refused() -> None:
    with pytest.raises(ValueError, match="patients: expected at least 1"):
        synthetic(patients=0)


def test_event_ids_without_a_seed_differ_each_time() -> None:
    assert not set(EventIds(None).take(2000)) & set(EventIds(None).take(2000))
    assert len(set(EventIds(3).take(5000))) == 5000
