"""Evaluation: leaks are found, limits hold, champions are compared fairly or not at all, small parts say nothing."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from contracts.features import Matrix
from contracts.heart_disease import HEART_DISEASE
from models.fit import Vector
from models.pipeline.attacks.suite import AttackPolicy
from models.pipeline.champion import NOT_COMPARED, Champion, Scorer
from models.pipeline.check import Check, Report
from models.pipeline.evaluation import EvaluationPolicy, evaluate
from models.pipeline.leaks import leak_check
from models.pipeline.rows import Rows, row_digests
from models.pipeline.training import TrainingPolicy
from tests.models.pipeline.conftest import Fitted

POLICIES = Path(__file__).parents[3] / "models" / "pipeline" / "policy"
THALCH = HEART_DISEASE.names.index("thalch")


def named(report: Report, name: str) -> Check:
    (found,) = (check for check in report.checks if check.name == name)
    return found


def judged(candidate: Fitted, score: Scorer | None = None, **changed: Any) -> Report:
    parts: dict[str, Any] = {"train": candidate.train, "held_out": candidate.held_out, **changed}
    policy = parts.pop("policy", EvaluationPolicy())
    threshold = parts.pop("threshold", candidate.threshold)
    return evaluate(
        score or candidate.score, threshold, parts["train"], parts["held_out"], HEART_DISEASE, policy, 1,
        parts.get("champion"),
    )  # fmt: skip


def worse(score: Scorer) -> Scorer:
    def noisy(x: Matrix) -> Vector:
        drawn: Vector = np.random.default_rng(0).random(len(x))
        return 0.5 * drawn + 0.5 * np.asarray(score(x), dtype=np.float64)

    return noisy


def test_a_clean_candidate_passes_with_an_interval_around_each_figure(candidate: Fitted) -> None:
    report = judged(candidate)
    assert report.passed, [check for check in report.checks if check.verdict == "fail"]
    for name in ("auc", "brier", "recall", "specificity", "precision", "npv", "accuracy"):
        low, value, high = (float(report.facts[f"{name}{end}"] or 0) for end in (", low", "", ", high"))
        assert low < value < high


@pytest.mark.parametrize("how", ["the same row", "another label", "one value changed", "the same patient"])
def test_a_planted_leak_is_found(candidate: Fitted, how: str) -> None:
    leaked = candidate.train.take(np.array([5]))
    x, y, group = leaked.x.copy(), leaked.y.copy(), leaked.group + 100_000
    if how == "another label":
        y = 1 - y
    elif how == "one value changed":
        x[:, THALCH] += 1
    elif how == "the same patient":
        x[:, :] = 1.0
        group = leaked.group
    held_out = candidate.held_out.joined(Rows(x, y, leaked.site, group))
    check = leak_check(candidate.train, held_out)
    assert check.verdict == "fail"
    (finding,) = check.findings
    assert finding.where == f"held-out row {len(candidate.held_out)}"
    assert not judged(candidate, held_out=held_out).passed


def test_no_leak_is_found_where_there_is_none(candidate: Fitted) -> None:
    assert leak_check(candidate.train, candidate.held_out).verdict == "pass"


@pytest.mark.parametrize(
    ("limit", "value", "name"),
    [
        ("least_auc", 0.99, "AUC"),
        ("most_brier", 0.01, "Brier"),
        ("least_recall", 0.999, "recall"),
        ("least_specificity", 0.99, "specificity"),
        ("least_precision", 0.99, "precision"),
        ("least_npv", 0.999, "NPV"),
        ("least_accuracy", 0.99, "accuracy"),
        ("least_above_majority", 0.6, "better than the majority class"),
    ],
)
def test_a_figure_beyond_its_limit_fails_and_says_what_to_do(
    candidate: Fitted, limit: str, value: float, name: str
) -> None:
    report = judged(candidate, policy=msgspec.structs.replace(EvaluationPolicy(), **{limit: value}))
    check = named(report, name)
    assert check.verdict == "fail"
    assert check.advice
    assert [each.name for each in report.checks if each.verdict == "fail"] == [name]


def test_a_figure_that_is_not_defined_fails(candidate: Fitted) -> None:
    report = judged(candidate, threshold=1.1)  # nobody is called ill
    assert named(report, "precision").verdict == "fail"
    assert report.facts["precision"] is None


def test_a_model_that_says_the_same_of_everybody_is_no_better_than_the_majority(candidate: Fitted) -> None:
    report = judged(candidate, score=lambda x: np.full(len(x), 0.9))
    assert named(report, "better than the majority class").verdict == "fail"


def test_a_candidate_worse_than_a_champion_of_other_patients_is_refused(candidate: Fitted) -> None:
    champion = Champion(candidate.score, candidate.threshold, frozenset(row_digests(candidate.train.x)))
    report = judged(candidate, score=worse(candidate.score), champion=champion)
    check = named(report, "AUC beside the champion's")
    assert check.verdict == "fail"
    assert f"on the {len(candidate.held_out)} rows that are new to both" in check.found
    same = judged(candidate, champion=champion)
    assert named(same, "AUC beside the champion's").verdict == "pass"
    assert named(same, "recall beside the champion's").verdict == "pass"
    assert "p = 1.000" in named(same, "recall beside the champion's").found


def test_rows_that_the_champion_learnt_from_are_left_out_with_all_of_the_same_patient(candidate: Fitted) -> None:
    digests = row_digests(candidate.held_out.x)
    some = Champion(candidate.score, candidate.threshold, frozenset(digests[:20]))
    of_20 = len(digests) - 20
    check = named(judged(candidate, champion=some), "AUC beside the champion's")
    assert f"on the {of_20} rows that are new to both" in check.found
    group = candidate.held_out.group.copy()
    group[20:25] = group[:5]  # five more rows of patients whom the champion knows
    again = Rows(candidate.held_out.x, candidate.held_out.y, candidate.held_out.site, group)
    check = named(judged(candidate, champion=some, held_out=again), "AUC beside the champion's")
    assert f"on the {of_20 - 5} rows that are new to both" in check.found


def test_a_champion_that_learnt_the_held_out_rows_is_not_compared(candidate: Fitted, patients: Rows) -> None:
    """However far ahead it looks: here it knows every answer."""
    answers = dict(zip(row_digests(patients.x), patients.y.tolist(), strict=True))

    def remembers(x: Matrix) -> Vector:
        return np.array([answers[digest] for digest in row_digests(x)], dtype=np.float64)

    for learnt, why in (
        (frozenset(answers), f"0 ill and 0 healthy of {len(candidate.held_out)} rows are new to the champion too"),
        (None, "nobody knows which rows the champion learnt from"),
    ):
        report = judged(candidate, champion=Champion(remembers, 0.5, learnt))
        check = named(report, NOT_COMPARED)
        assert (check.verdict, check.found) == ("waived", f"not compared: {why}")
        assert "on trial" in check.advice
        assert report.passed
        assert not [each for each in report.checks if each.name.endswith("beside the champion's")]


def test_a_part_of_the_patients_that_is_left_behind_is_named_and_small_ones_are_not_judged(candidate: Fitted) -> None:
    def blind_to_the_young(x: Matrix) -> Vector:
        return np.where(x[:, 0] < 50, 0.01, np.asarray(candidate.score(x), dtype=np.float64))

    report = judged(candidate, score=blind_to_the_young)
    check = named(report, "no part of the patients is left behind")
    assert check.verdict == "fail"
    assert "age under 50" in {finding.where for finding in check.findings}
    assert "too small to say" in str(report.facts["sex female"])
    assert "rows" in str(report.facts["site Hungary"])


def test_no_report_repeats_a_patients_values(candidate: Fitted) -> None:
    parts = []
    for rows in (candidate.train, candidate.held_out):
        x = rows.x.copy()
        x[0] = np.float32(123.456)
        parts.append(Rows(x, rows.y, rows.site, rows.group))
    report = judged(candidate, train=parts[0], held_out=parts[1])
    assert not report.passed
    assert b"123.4" not in msgspec.json.encode(report)


@pytest.mark.parametrize(
    ("file", "section", "policy"),
    [
        ("training.toml", "training", TrainingPolicy()),
        ("evaluation.toml", "evaluation", EvaluationPolicy()),
        ("attacks.toml", "attacks", AttackPolicy()),
    ],
)
def test_the_commented_policy_is_the_default_and_leaves_nothing_out(
    file: str, section: str, policy: msgspec.Struct
) -> None:
    written = tomllib.loads((POLICIES / file).read_text(encoding="utf-8"))
    assert list(written) == [section]
    assert msgspec.convert(written[section], type(policy)) == policy
    assert written[section] == msgspec.to_builtins(policy)
