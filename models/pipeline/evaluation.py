"""Evaluation of a candidate on rows that nothing of its making has seen, against limits, champion and majority.

Intervals are 95% percentile bootstrap intervals over patients, stratified by label (models/metrics.py). A figure is
held against its limit as it is; the interval says how far it may be from the truth on this many patients.
"""

import msgspec
import numpy as np

from contracts.features import FeatureTable
from models.card_tables import HEADS
from models.metrics import FIGURES, Interval, figures, resample_patients, summarise
from models.pipeline.champion import Champion, ChampionPolicy, Scorer, compare
from models.pipeline.check import Check, Report
from models.pipeline.judge import judge, rounded
from models.pipeline.leaks import leak_check
from models.pipeline.rows import Rows
from models.pipeline.subgroups import SubgroupPolicy, subgroup_check


class EvaluationPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The limits of evaluation; policy/evaluation.toml says why the defaults are what they are."""

    least_auc: float = 0.80
    most_brier: float = 0.18
    least_recall: float = 0.85
    least_specificity: float = 0.50
    least_precision: float = 0.65
    least_npv: float = 0.70
    least_accuracy: float = 0.70
    least_above_majority: float = 0.05
    champion: ChampionPolicy = ChampionPolicy()
    subgroups: SubgroupPolicy = SubgroupPolicy()


_ADVICE = {
    "auc": "The candidate ranks patients badly: compare the snapshot's sites with the last one's.",
    "brier": "The probabilities are off: look at the calibration of each site.",
    "recall": "Ill patients are missed: require a higher recall in training.",
    "specificity": "Too many healthy patients are called ill: a lower required recall, or a better model.",
    "precision": "Too many of those called ill are healthy: a lower required recall, or a better model.",
    "npv": "Too many of those called healthy are ill: require a higher recall in training.",
    "accuracy": "Too many decisions are wrong: look at the figures of the sites.",
}


def evaluate(
    score: Scorer,
    threshold: float,
    train: Rows,
    held_out: Rows,
    table: FeatureTable,
    policy: EvaluationPolicy,
    seed: int,
    champion: Champion | None = None,
) -> Report:
    """Return what a candidate, `score` with `threshold`, is worth on `held_out`; `train` is only searched for leaks.

    Without a champion nothing is said of one.
    """
    probability = np.asarray(score(held_out.x), dtype=np.float64)
    positive = probability >= threshold
    counts = resample_patients(held_out.y, held_out.group, seed)
    samples = dict(figures(counts, held_out.y, probability, positive))
    found = {name: summarise(samples[name]) for name in FIGURES}
    ill = counts @ (held_out.y == 1) / counts.sum(axis=1)
    above_majority = summarise(samples["accuracy"] - np.maximum(ill, 1 - ill))
    checks = [
        leak_check(train, held_out),
        *(_limit_check(name, found[name], policy) for name in FIGURES),
        _majority_check(above_majority, policy),
    ]
    if champion is not None:
        checks += compare(probability, threshold, held_out, counts, champion, policy.champion)
    subgroups, by_group = subgroup_check(held_out, probability, positive, table, policy.subgroups, seed)
    facts: dict[str, str | int | float | None] = {"rows": len(held_out), "ill": int(held_out.y.sum())}
    facts |= {"patients": len(np.unique(held_out.group)), "threshold": threshold, "seed": seed}
    for name, interval in found.items():
        facts |= {name: rounded(interval.value), f"{name}, low": rounded(interval.low)}
        facts |= {f"{name}, high": rounded(interval.high)}
    facts |= {"intervals": "95%, bootstrap of patients, stratified by label, percentiles", **by_group}
    return Report(step="evaluate", checks=(*checks, subgroups), facts=facts)


def _limit_check(name: str, found: Interval, policy: EvaluationPolicy) -> Check:
    most = name == "brier"
    limit: float = getattr(policy, f"most_{name}" if most else f"least_{name}")
    good = found.value <= limit if most else found.value >= limit  # NaN, a figure that is not defined, is never good
    return judge(
        HEADS[name],
        bool(good),
        found=f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})",
        limit=f"at {'most' if most else 'least'} {limit:g}",
        advice=_ADVICE[name],
    )


def _majority_check(above: Interval, policy: EvaluationPolicy) -> Check:
    return judge(
        "better than the majority class",
        above.value >= policy.least_above_majority and above.low > 0,
        found=f"accuracy {above.value:+.3f} ({above.low:+.3f} to {above.high:+.3f}) above always saying the same",
        limit=f"at least {policy.least_above_majority:+g}, and more than chance explains",
        advice="The candidate knows little more than how common the disease is.",
    )
