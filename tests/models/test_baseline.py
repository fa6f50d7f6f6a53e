"""A baseline follows the patients that it was made of, and says how many they were."""

import numpy as np
import pytest

from contracts.errors import UserError
from contracts.heart_disease import HEART_DISEASE
from contracts.reference import ReferenceStatistics
from models.baseline import LEAST_PATIENTS, differences, make_baseline
from models.dataset import load_dataset
from models.event_sample import Events
from models.scorer import Scorer
from models.sketch import Sketcher
from models.verify import VerifiedBundle


def hungarian(count: int, patients: int, seed: int = 1) -> Events:
    """Return events of one site's rows, each as it stands in the data."""
    rng = np.random.default_rng([seed, 5])
    rows = load_dataset().distinct()
    rows = rows.take(rows.site == "Hungary")
    values = rows.x.astype(np.float64)[rng.integers(len(rows), size=count)]
    ids = np.arange(count, dtype=np.int64)
    return Events(ids, ids % patients, ids, np.full(count, "uci/hungary", object), values)


def own(verified: VerifiedBundle) -> ReferenceStatistics:
    assert verified.manifest.reference_statistics is not None
    return verified.manifest.reference_statistics


@pytest.fixture(scope="module")
def events() -> Events:
    return hungarian(6000, 1500)


@pytest.fixture(scope="module")
def baseline(verified: VerifiedBundle, events: Events) -> ReferenceStatistics:
    return make_baseline(own(verified), HEART_DISEASE, events, Scorer(verified).score)


def test_its_shares_are_those_of_the_events_and_its_patients_are_counted(
    verified: VerifiedBundle, events: Events, baseline: ReferenceStatistics
) -> None:
    assert baseline.population == 1500
    assert baseline.replaces(own(verified))
    assert baseline.outcomes == own(verified).outcomes
    probabilities = Scorer(verified).score(events.values.astype(np.float32)).astype(np.float64)
    totals = Sketcher(baseline.columns).sketch(events.values, probabilities).totals
    expected = [share for column in baseline.columns for share in column.shares]
    np.testing.assert_allclose(np.array(totals[: len(expected)]) / len(events), expected, atol=0.003)


def test_what_differs_most_from_the_bundle_comes_first_and_nothing_from_itself(
    verified: VerifiedBundle, events: Events, baseline: ReferenceStatistics
) -> None:
    found = differences(own(verified), events, Scorer(verified).score)
    assert [each.moved for each in found] == sorted((each.moved for each in found), reverse=True)
    (ca,) = [each for each in found if each.column == "ca"]  # Hungary hardly measured it
    assert ca.label == "missing"
    assert ca.seen > 0.95 > ca.expected
    assert all(each.moved < 0.01 for each in differences(baseline, events, Scorer(verified).score))


def test_too_few_patients_are_refused_however_many_events_they_have(verified: VerifiedBundle) -> None:
    with pytest.raises(UserError, match=f"at least {LEAST_PATIENTS} patients, got 3000 events of 499"):
        make_baseline(own(verified), HEART_DISEASE, hungarian(3000, 499), Scorer(verified).score)
    nobody = hungarian(0, 1)
    with pytest.raises(UserError, match="got 0 events of 0"):
        make_baseline(own(verified), HEART_DISEASE, nobody, Scorer(verified).score)
