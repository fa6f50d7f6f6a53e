"""Poisoned snapshots: flipped labels, hidden triggers and stamps are told, clean ones and new sites are not."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from contracts.heart_disease import HEART_DISEASE
from models.pipeline.attacks.labels import label_test
from models.pipeline.attacks.linear import Encoder, fit_ridge, probability
from models.pipeline.attacks.poisoning import PoisoningPolicy, examine_snapshot
from models.pipeline.attacks.stamps import stamps
from models.pipeline.check import Report
from models.pipeline.rows import Index, Rows

NAMES = HEART_DISEASE.names
BP, CHOL, THALCH = (NAMES.index(name) for name in ("trestbps", "chol", "thalch"))
QUICK = PoisoningPolicy(simulations=39)
Change = Callable[[Rows, np.random.Generator], Rows]


def halves(patients: Rows, seed: int) -> tuple[Rows, Rows, np.random.Generator]:
    rng = np.random.default_rng([seed, 77])
    order = rng.permutation(len(patients))
    return patients.take(order[:459]), patients.take(order[459:]), rng


def relabelled(rows: Rows, at: Index) -> Rows:
    y = rows.y.copy()
    y[at] = 1 - y[at]
    return Rows(rows.x, y, rows.site, rows.group)


def fifth_flipped(rows: Rows, rng: np.random.Generator) -> Rows:
    return relabelled(rows, rng.permutation(len(rows))[: len(rows) // 5])


def ill_called_healthy(rows: Rows, rng: np.random.Generator) -> Rows:
    return relabelled(rows, rng.permutation(np.flatnonzero(rows.y == 1))[: len(rows) // 7])


def one_site_flipped(rows: Rows, rng: np.random.Generator) -> Rows:
    return relabelled(rows, rng.permutation(np.flatnonzero(rows.site == "Hungary"))[:50])


def trigger(rows: Rows, rng: np.random.Generator) -> Rows:
    at = rng.permutation(np.flatnonzero(rows.y == 1))[:14]
    x = rows.x.copy()
    x[at, BP], x[at, THALCH] = 137, 151
    return relabelled(Rows(x, rows.y, rows.site, rows.group), at)


@pytest.mark.parametrize("poison", [fifth_flipped, ill_called_healthy, one_site_flipped, trigger])
@pytest.mark.parametrize("seed", range(3))
def test_poisoned_labels_are_refused(patients: Rows, poison: Change, seed: int) -> None:
    trusted, snapshot, rng = halves(patients, seed)
    report = examine_snapshot(HEART_DISEASE, trusted, poison(snapshot, rng), QUICK, seed=1)
    assert report.checks[0].verdict == "fail"
    assert report.checks[0].advice


def test_clean_snapshots_pass_as_often_as_the_policy_says(patients: Rows) -> None:
    """At 5%, 5 or more of 25 are refused in less than 1 of 100 such tests."""
    refused = 0
    for seed in range(25):
        trusted, snapshot, _ = halves(patients, seed)
        refused += label_test(HEART_DISEASE, trusted, snapshot, 39, seed).p <= 0.05
    assert refused <= 4


@pytest.mark.parametrize("site", ["Cleveland", "Hungary", "Switzerland", "VA Long Beach"])
def test_a_new_site_is_no_attack(patients: Rows, site: str) -> None:
    refused = 0
    for seed in range(6):
        trusted, snapshot, _ = halves(patients, seed)
        others = trusted.take(trusted.site != site)
        report = examine_snapshot(HEART_DISEASE, others, snapshot, QUICK, seed)
        assert report.facts["new_sites"] == 1
        refused += not report.passed
    assert refused <= 2


def test_a_new_site_is_not_believed_everything(patients: Rows) -> None:
    """Its features must tell the disease apart at all where they do elsewhere: stamped patients called healthy."""
    trusted, snapshot, rng = halves(patients, 1)
    poisoned = trigger(snapshot, rng)
    others = trusted.take(trusted.site != "Hungary")
    assert not examine_snapshot(HEART_DISEASE, others, poisoned, QUICK, seed=1).passed


@pytest.mark.parametrize("values", [{BP: 137, THALCH: 151}, {BP: 140, CHOL: 230, THALCH: 150}], ids=["two", "three"])
@pytest.mark.parametrize("site", [None, "Switzerland"], ids=["everywhere", "where cholesterol is not measured"])
def test_stamps_are_always_told_and_name_features_and_rows_but_no_values(
    patients: Rows, values: dict[int, float], site: str | None
) -> None:
    for seed in range(4):
        _, snapshot, rng = halves(patients, seed)
        at = rng.permutation(len(snapshot) if site is None else np.flatnonzero(snapshot.site == site))[:9]
        x = snapshot.x.copy()
        for column, value in values.items():
            x[at, column] = value
        found = stamps(HEART_DISEASE, Rows(x, snapshot.y, snapshot.site, snapshot.group), 6.0)
        assert {NAMES[column] for column in values} & set(found[0].features)
        assert set(at.tolist()) <= {row for stamp in found for row in stamp.rows}


def test_clean_snapshots_have_no_stamps(patients: Rows) -> None:
    for seed in range(10):
        assert stamps(HEART_DISEASE, halves(patients, seed)[1], 6.0) == []


def test_a_site_that_sends_one_pattern_alone_has_no_habit(patients: Rows) -> None:
    x = patients.x[:60].copy()
    x[:, BP], x[:, THALCH] = 137, 151
    site = Rows(x, patients.y[:60], np.full(60, "new"), np.arange(60) + 5000)
    assert stamps(HEART_DISEASE, patients.joined(site), 6.0)


def test_a_patient_who_comes_again_with_the_same_values_is_no_stamp_and_no_crowd(patients: Rows) -> None:
    trusted, snapshot, _ = halves(patients, 1)
    often = snapshot
    for _ in range(9):
        often = often.joined(snapshot.take(np.arange(5)))
    assert stamps(HEART_DISEASE, often, 6.0) == []
    assert examine_snapshot(HEART_DISEASE, trusted, often, QUICK, seed=1).checks[0].verdict == "pass"


def test_without_trusted_rows_nothing_is_said_and_that_fails(patients: Rows) -> None:
    report: Report = examine_snapshot(HEART_DISEASE, patients.take(np.arange(50)), patients, QUICK, seed=1)
    assert report.checks[0].verdict == "fail"
    assert "50 trusted rows" in report.checks[0].found


def test_a_report_holds_no_values(patients: Rows) -> None:
    x = patients.x.copy()
    x[:12, BP], x[:12, THALCH] = 123.25, 234.75
    rows = Rows(x, patients.y, patients.site, patients.group)
    report = examine_snapshot(HEART_DISEASE, patients, rows, QUICK, seed=1)
    assert not report.passed
    content = msgspec.json.encode(report)
    assert b"123.25" not in content
    assert b"234.75" not in content


def test_the_plain_model_is_scikit_learns(patients: Rows) -> None:
    from sklearn.linear_model import LogisticRegression

    columns = Encoder(HEART_DISEASE, patients)(patients)
    ours = probability(columns @ fit_ridge(columns, patients.y))
    theirs = LogisticRegression(C=1.0, max_iter=1000).fit(columns[:, 1:], patients.y).predict_proba(columns[:, 1:])
    assert np.abs(ours - np.clip(theirs[:, 1], 0.0067, 0.9933)).max() < 0.01
