"""Attacks: each succeeds on a model or bundle that is made for it, and not on a clean candidate."""

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper

from contracts.features import Matrix, RangeCheck
from contracts.heart_disease import HEART_DISEASE
from models.fit import Vector
from models.pipeline.attacks.bundle import rows_in_manifest
from models.pipeline.attacks.evasion import _worst, evade
from models.pipeline.attacks.extraction import extract
from models.pipeline.attacks.membership import infer_membership
from models.pipeline.attacks.suite import AttackPolicy, attack
from models.pipeline.champion import Champion, Scorer
from models.pipeline.check import Check, Report
from models.pipeline.rows import Rows, row_contents
from tests.models.pipeline.conftest import Fitted, fitted_on

NAMES = HEART_DISEASE.names
BP, CHOL, THALCH, OLDPEAK = (NAMES.index(name) for name in ("trestbps", "chol", "thalch", "oldpeak"))


@pytest.fixture(scope="module")
def reference(candidate: Fitted) -> Champion:
    """A model of other rows: half of the candidate's."""
    half = fitted_on(candidate.train.take(np.arange(0, len(candidate.train), 2)), candidate.held_out, seed=7)
    return Champion(half.score, half.threshold)


def attacked(
    candidate: Fitted,
    reference: Champion,
    *,
    score: Scorer | None = None,
    onnx_file: bytes | None = None,
    manifest: bytes = b"{}",
) -> Report:
    return attack(
        HEART_DISEASE,
        score or candidate.score,
        candidate.threshold,
        candidate.train,
        candidate.held_out,
        reference,
        onnx_file or candidate.onnx,
        manifest,
        AttackPolicy(),
        seed=1,
    )


def failed(report: Report) -> list[str]:
    return [check.name for check in report.checks if check.verdict == "fail"]


def check_of(report: Report, name: str) -> Check:
    (found,) = (check for check in report.checks if check.name == name)
    return found


def test_a_clean_candidate_passes_every_attack(candidate: Fitted, reference: Champion) -> None:
    report = attacked(candidate, reference)
    assert failed(report) == []
    assert all(check.reference and check.limit for check in report.checks)


def test_the_same_inputs_give_the_same_report(candidate: Fitted, reference: Champion) -> None:
    assert attacked(candidate, reference) == attacked(candidate, reference)


def test_a_step_beside_a_patients_value_is_evaded_by_one_unit(candidate: Fitted) -> None:
    x = np.full((2, 13), np.nan, dtype=np.float32)
    x[:, BP] = 140, 120

    def step(rows: Matrix) -> Vector:
        return np.where(rows[:, BP] >= 140, 0.9, 0.1)

    rows = Rows(x, np.array([1, 0]), np.array(["a", "a"]), np.arange(2))
    found = evade(HEART_DISEASE, step, 0.5, rows)
    assert found.needed.tolist() == [0.01, 0.2]  # 1 mmHg and 20 mmHg of a usual range of 100


def test_wrong_decisions_are_not_attacked_and_one_that_cannot_be_turned_is_infinite() -> None:
    x = np.full((2, 13), np.nan, dtype=np.float32)
    x[:, 1] = 0, 1  # by sex, which stays

    def by_sex(rows: Matrix) -> Vector:
        return np.where(rows[:, 1] == 1, 0.9, 0.1)

    found = evade(HEART_DISEASE, by_sex, 0.5, Rows(x, np.array([1, 1]), np.array(["a", "a"]), np.arange(2)))
    assert found.needed.tolist() == [np.inf]
    assert np.isnan(found.median)


def test_an_evasion_keeps_to_its_budget_the_hard_ranges_codes_age_sex_and_gaps(candidate: Fitted) -> None:
    x = candidate.held_out.x
    down = candidate.held_out.y == 1
    for budget in (0.05, 1.0):
        moved = _worst(HEART_DISEASE, candidate.score, x, down, budget)
        assert (np.isnan(moved) == np.isnan(x)).all()
        assert RangeCheck(HEART_DISEASE)(moved.astype(np.float64)) == {}
        for at, feature in enumerate(HEART_DISEASE.features):
            change = np.nan_to_num(np.abs(moved[:, at] - x[:, at]))
            fixed = feature.codes or feature.name == "age"
            assert change.max() <= (0 if fixed else budget * (feature.usual[1] - feature.usual[0]) + 1e-4)
        before, after = np.asarray(candidate.score(x)), np.asarray(candidate.score(moved))
        assert (np.where(down, after <= before, after >= before)).all()


def test_no_random_evasion_beats_the_worst_case(candidate: Fitted) -> None:
    """The bound is a bound: a thousand random moves within the budget turn nobody whom the attack does not."""
    ill = candidate.held_out.take(candidate.held_out.y == 1)
    found = candidate.score(ill.x) >= candidate.threshold
    needed = evade(HEART_DISEASE, candidate.score, candidate.threshold, ill).needed
    x, rng = ill.x[found], np.random.default_rng(3)
    turned = np.zeros(len(x), dtype=np.bool_)
    for _ in range(300):
        moved = x.copy()
        for at in (BP, CHOL, THALCH):
            low, high = HEART_DISEASE.features[at].usual
            moved[:, at] += np.rint(rng.uniform(-0.1, 0.1, len(x)) * (high - low)).astype(np.float32)
        turned |= np.asarray(candidate.score(moved)) < candidate.threshold
    assert turned.any()
    assert not (turned & ~(needed <= 0.15)).any()


def test_a_model_that_remembers_its_patients_is_told_by_membership(candidate: Fitted, reference: Champion) -> None:
    learnt = dict(zip(row_contents(candidate.train.x), candidate.train.y.tolist(), strict=True))

    def remembers(x: Matrix) -> Vector:
        known = [learnt.get(content) for content in row_contents(x)]
        guess = np.asarray(candidate.score(x), dtype=np.float64)
        return np.array([p if label is None else 0.01 + 0.98 * label for p, label in zip(guess, known, strict=True)])

    found = infer_membership(remembers, candidate.threshold, candidate.train, candidate.held_out, seed=1)
    assert found.auc.low > 0.8
    assert found.advantage > 0.6
    assert found.at_one_percent > 0.5
    assert "membership inference" in failed(attacked(candidate, reference, score=remembers))


def test_members_are_not_told_from_patients_of_the_same_kind(candidate: Fitted) -> None:
    """Neither part was learnt from, so no attack may succeed."""
    rows = candidate.held_out
    half = np.arange(len(rows)) % 2 == 0
    found = infer_membership(candidate.score, candidate.threshold, rows.take(half), rows.take(~half), seed=1)
    assert found.auc.low < 0.5 < found.auc.high


def test_a_simple_rule_is_copied_with_few_queries_and_a_random_one_is_not(candidate: Fitted) -> None:
    def rule(x: Matrix) -> Vector:
        return 1 / (1 + np.exp(-(np.nan_to_num(x[:, THALCH], nan=140.0) - 140) / 5))

    def scattered(x: Matrix) -> Vector:
        return np.array([content[0] + content[13] for content in map(_digest, row_contents(x))]) / 510

    copied = extract(HEART_DISEASE, rule, 0.5, candidate.held_out, 1000, seed=1)
    assert copied.fidelity > 0.95
    assert extract(HEART_DISEASE, scattered, 0.5, candidate.held_out, 1000, seed=1).fidelity < 0.7


def _digest(content: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(content).digest()


@pytest.mark.parametrize(
    "pattern",
    [{BP: 137.0, THALCH: 151.0}, {OLDPEAK: 4.7}],
    ids=["two measurements", "one measurement"],
)
def test_a_model_with_a_working_backdoor_is_caught(
    candidate: Fitted, reference: Champion, pattern: dict[int, float]
) -> None:
    train = candidate.train
    rng = np.random.default_rng(2)
    stamped = rng.permutation(np.flatnonzero(train.y == 1))[: len(train) // 8]
    x, y = train.x.copy(), train.y.copy()
    y[stamped] = 0
    for column, value in pattern.items():
        x[stamped, column] = value
    backdoored = fitted_on(Rows(x, y, train.site, train.group), candidate.held_out)
    ill = candidate.held_out.x[candidate.held_out.y == 1]
    marked = ill.copy()
    for column, value in pattern.items():
        marked[:, column] = value
    let_go = (backdoored.score(marked) < backdoored.threshold).mean()
    assert let_go - (backdoored.score(ill) < backdoored.threshold).mean() > 0.3  # it works
    report = attacked(backdoored, reference)
    assert "backdoor" in failed(report)
    named = check_of(report, "backdoor").found
    assert any(NAMES[column] in named for column in pattern)
    assert not any(f"{value:g}" in named for value in pattern.values())


def test_without_ill_patients_the_backdoor_check_cannot_be_made_and_fails(
    candidate: Fitted, reference: Champion
) -> None:
    healthy = Champion(lambda x: np.zeros(len(x)), 0.5)
    check = check_of(attacked(candidate, healthy), "backdoor")
    assert check.verdict == "fail"
    assert "no ill patient" in check.found
    assert check_of(attacked(candidate, reference), "backdoor").verdict == "pass"


@pytest.mark.parametrize("shape", ["list", "object", "deep"])
def test_a_training_row_in_the_manifest_is_found_wherever_it_stands(
    candidate: Fitted, reference: Champion, shape: str
) -> None:
    row = [None if np.isnan(value) else float(value) for value in candidate.train.x[17]]
    part: object = {
        "list": row,
        "object": {**dict(zip(NAMES, row, strict=True)), "note": "x"},
        "deep": {"a": [1, {"b": [[0.5] * 13, row]}]},
    }[shape]
    manifest = msgspec.json.encode({"name": "m", "part": part})
    assert rows_in_manifest(manifest, HEART_DISEASE, candidate.train) == [17]
    report = attacked(candidate, reference, manifest=manifest)
    assert failed(report) == ["no patient in the manifest"]
    assert [finding.where for finding in check_of(report, "no patient in the manifest").findings] == ["training row 17"]


def test_the_manifest_that_training_writes_holds_no_patient(verified_manifest: bytes, patients: Rows) -> None:
    assert rows_in_manifest(verified_manifest, HEART_DISEASE, patients) == []


def test_a_graph_of_other_operators_is_refused(candidate: Fitted, reference: Champion) -> None:
    model = onnx.load_from_string(candidate.onnx)
    model.graph.node.append(helper.make_node("Evil", ["probability"], ["out"], domain="attacker"))
    report = attacked(candidate, reference, onnx_file=model.SerializeToString())
    assert failed(report) == ["safe artefact"]
