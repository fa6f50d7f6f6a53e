"""Training: a held-out part that nothing sees, patients that are never parted, settings compared honestly."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier

from contracts.features import Matrix
from models import fit as fitting
from models.fit import Labels, Setting, fit
from models.metrics import resample_patients
from models.pipeline import training
from models.pipeline.rows import Rows, linked, near_duplicates, row_contents, row_digests
from models.pipeline.training import BASELINE, TrainingPolicy, hold_out, train


def visits(patients: Rows, each: int) -> Rows:
    """Return the patients with `each` rows apiece, the later ones a little different."""
    again = [Rows(patients.x + np.float32(0.25 * at), patients.y, patients.site, patients.group) for at in range(each)]
    found = again[0]
    for more in again[1:]:
        found = found.joined(more)
    return found


@pytest.fixture
def one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """One draw of the missing values in place of five: the same code in a fifth of the time."""
    monkeypatch.setattr(fitting, "_DRAWS", 1)


def test_a_patients_rows_are_all_held_out_or_none(patients: Rows) -> None:
    rows = visits(patients, 3)
    learnt, held_out = hold_out(rows, 0.2, seed=3)
    assert sorted([*learnt, *held_out]) == list(range(len(rows)))
    assert set(rows.group[learnt]).isdisjoint(rows.group[held_out])
    assert 0.15 < len(held_out) / len(rows) < 0.25


def test_the_held_out_part_has_every_site_and_its_share_of_the_ill(patients: Rows) -> None:
    held_out = patients.take(hold_out(patients, 0.2, seed=3)[1])
    for site in set(patients.site.tolist()):
        there, all_of_it = held_out.site == site, patients.site == site
        assert abs(there.sum() - 0.2 * all_of_it.sum()) <= 4
        assert abs(held_out.y[there].mean() - patients.y[all_of_it].mean()) < 0.12


def test_another_seed_holds_others_out(patients: Rows) -> None:
    one, again, other = (hold_out(patients, 0.2, seed=seed)[1].tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_near_duplicates_are_never_parted(patients: Rows) -> None:
    copy = patients.x.copy()
    copy[:, 3] += 1  # one measurement of each differs
    twice = patients.joined(Rows(copy, patients.y, patients.site, patients.group + 10_000))
    groups = linked(twice)
    assert (groups[: len(patients)] == groups[len(patients) :]).all()
    learnt, held_out = hold_out(twice, 0.2, seed=1)
    assert set(groups[learnt]).isdisjoint(groups[held_out])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=25))
def test_near_duplicates_are_what_comparing_every_two_rows_finds(values: list[tuple[int, int, int]]) -> None:
    x = np.array(values, dtype=np.float32)
    x[x == 2] = np.nan
    found = {(int(a), int(b)) for rows in near_duplicates(x) for a in rows for b in rows if a < b}
    differ = ((x[:, None] != x[None]) & ~(np.isnan(x)[:, None] & np.isnan(x)[None])).sum(axis=2)
    assert found == {(a, b) for a in range(len(x)) for b in range(a + 1, len(x)) if differ[a, b] <= 1}


def test_equal_rows_have_equal_digests_whatever_their_zeros_and_gaps() -> None:
    x = np.array([[0.0, np.nan], [-0.0, -np.nan], [0.0, 1.0]], dtype=np.float32)
    one, same, other = row_digests(x)
    assert one == same != other


@pytest.mark.usefixtures("one_draw")
def test_boosting_with_several_rows_a_patient_stops_early_and_parts_no_patient(
    patients: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = visits(patients.take(np.arange(300)), 2)
    patient = dict(zip(row_contents(np.nan_to_num(rows.x, nan=-1)), rows.group.tolist(), strict=True))
    parts: list[tuple[set[int], set[int]]] = []
    learn = GradientBoostingClassifier.fit

    def watched(self: Any, x: Matrix, y: Labels, monitor: Any) -> Any:
        learnt, held = ({patient.get(content, -1) for content in row_contents(part)} for part in (x, monitor._x))
        parts.append((learnt, held))
        return learn(self, x, y, monitor=monitor)

    monkeypatch.setattr(fitting, "_hot_deck", lambda x, _rng: np.nan_to_num(x, nan=-1).astype(np.float32))
    monkeypatch.setattr(GradientBoostingClassifier, "fit", watched)
    model = fit(rows.x, rows.y, seed=1, groups=rows.group)
    assert len(parts) == 6  # five folds and all
    for learnt, held in parts:
        assert -1 not in learnt | held
        assert learnt.isdisjoint(held)
        assert len(held) > 40
    assert all(5 < member.n_estimators_ < 300 for member in model.boosted.members)


@pytest.mark.usefixtures("one_draw")
def test_groups_of_one_row_change_nothing(patients: Rows) -> None:
    some = patients.take(np.arange(250))
    plain, grouped = fit(some.x, some.y, seed=2), fit(some.x, some.y, seed=2, groups=some.group)
    assert (plain.probability(some.x) == grouped.probability(some.x)).all()


@pytest.mark.usefixtures("one_draw")
def test_training_compares_the_settings_and_the_baseline_and_returns_the_chosen(
    patients: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"short": Setting(trees=20), "shorter": Setting(trees=5)}
    monkeypatch.setattr(training, "SETTINGS", few)
    policy = TrainingPolicy(folds=2, required_recall=0.8)
    candidate, report = train(patients, policy, seed=1)
    assert candidate is not None
    assert candidate.setting in few
    assert set(candidate.train).isdisjoint(candidate.held_out)
    learnt = patients.take(candidate.train)
    found = candidate.model.out_of_fold >= candidate.model.threshold
    assert found[learnt.y == 1].mean() >= 0.8
    assert {f"auc, {name}" for name in (*few, BASELINE, "chosen in each fold")} <= set(report.facts)
    assert report.facts["chosen"] == candidate.setting
    assert 0.65 < float(report.facts["auc, Switzerland left out"] or 0) < 0.9
    assert [check.name for check in report.checks] == ["enough patients", "as good as the baseline"]


@pytest.mark.usefixtures("one_draw")
def test_labels_without_meaning_do_not_beat_the_baseline_by_being_chosen(
    patients: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nested figure of a choice among settings that know nothing is a half."""
    monkeypatch.setattr(training, "SETTINGS", {f"{rate}": Setting(rate, trees=15) for rate in (0.05, 0.1, 0.3)})
    y = np.random.default_rng(1).permutation(patients.y)
    report = train(Rows(patients.x, y, patients.site, patients.group), TrainingPolicy(folds=2), seed=1)[1]
    assert abs(float(report.facts["auc, chosen in each fold"] or 0) - 0.5) < 0.07


def test_too_few_patients_are_a_failed_check_and_no_model(patients: Rows) -> None:
    candidate, report = train(patients.take(np.arange(120)), TrainingPolicy(), seed=1)
    assert candidate is None
    assert not report.passed
    assert report.checks[0].name == "enough patients"


def test_a_patient_is_resampled_with_all_their_rows() -> None:
    y, group = np.array([1, 1, 0, 0, 0, 1]), np.array([7, 7, 8, 8, 9, 5])
    counts = resample_patients(y, group, seed=1, resamples=50)
    assert (counts[0] == 1).all()
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 2] == counts[:, 3]).all()
    assert (counts[:, 0] + counts[:, 5] == 2).all()  # as many ill patients as there are
    assert (counts[:, 2] + counts[:, 4] == 2).all()
    assert len(np.unique(counts[1:, 0])) > 1


@pytest.mark.parametrize(
    "change", [{"x": np.zeros((2, 3))}, {"y": np.array([0, 2])}, {"site": np.array(["a"])}], ids=str
)
def test_rows_of_other_shapes_and_labels_are_refused(change: dict[str, np.ndarray]) -> None:
    parts = {"x": np.zeros((2, 3), np.float32), "y": np.array([0, 1]), "site": np.array(["a", "b"])}
    with pytest.raises(ValueError, match="rows: expected"):
        Rows(**{**parts, "group": np.arange(2), **change})
