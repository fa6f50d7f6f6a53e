"""Training a candidate: settings compared by nested cross-validation, and a held-out part that nothing has seen.

A setting's own cross-validation is too kind to the setting that wins it. So it is chosen inside each fold, from that
fold's training patients, and judged by the rest (Varma and Simon, Bias in error estimation when using cross-validation
for model selection, BMC Bioinformatics 7, 2006). The setting of the candidate is then chosen in the same way from all
training patients. Rows of one patient, and rows that are near-duplicates of each other, are never on both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from contracts.errors import UserError
from models.evaluate import logistic_regression
from models.fit import FittedModel, Setting, Vector, fit
from models.metrics import auc
from models.pipeline.check import Report
from models.pipeline.judge import judge, rounded
from models.pipeline.rows import Index, Rows, linked

SETTINGS = {
    "rate 0.1, leaves of 20": Setting(),
    "rate 0.2, leaves of 20": Setting(learning_rate=0.2),
    "rate 0.1, leaves of 40": Setting(min_samples_leaf=40),
}
BASELINE = "logistic regression"  # compared, never chosen: its graph would be another one to check

_NESTED = "Varma and Simon, BMC Bioinformatics 7:91, 2006"


class TrainingPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What training must keep to; policy/training.toml says why the defaults are what they are."""

    required_recall: float = 0.90
    held_out_share: float = 0.20
    folds: int = 5
    least_ill: int = 100
    least_well: int = 100
    behind_baseline: float = 0.02


@dataclass(frozen=True)
class Candidate:
    """A fitted model with the positions of the rows that it learnt from and of those that nothing has seen."""

    model: FittedModel
    setting: str
    train: Index
    held_out: Index


def hold_out(rows: Rows, share: float, seed: int) -> tuple[Index, Index]:
    """Return positions (train, held out): about `share` of the patients, stratified by label and site.

    Patients with near-duplicate rows stay together.
    """
    parts = StratifiedGroupKFold(max(round(1 / share), 2), shuffle=True, random_state=seed)
    strata = np.unique([f"{site}/{y}" for site, y in zip(rows.site, rows.y, strict=True)], return_inverse=True)[1]
    train, held_out = next(parts.split(rows.x, strata, linked(rows)))
    return train, held_out


def train(
    rows: Rows, policy: TrainingPolicy, seed: int, progress: Callable[[str], None] = lambda _: None
) -> tuple[Candidate | None, Report]:
    """Fit a candidate on `rows`; None when there is too little to learn from, which the report then says.

    The same rows, policy and seed give the same candidate. `progress` gets a sentence a step.
    """
    ill, well = int(rows.y.sum()), int((1 - rows.y).sum())
    enough = judge(
        "enough patients",
        ill >= policy.least_ill and well >= policy.least_well,
        found=f"{ill} rows with disease, {well} without",
        limit=f"at least {policy.least_ill} with, {policy.least_well} without",
        advice="Collect more outcomes, then try again.",
    )
    if enough.verdict == "fail":
        return None, Report(step="train", checks=(enough,))
    learnt, held_out = hold_out(rows, policy.held_out_share, seed)
    part = rows.take(learnt)
    groups = linked(part)
    progress(f"held out {len(held_out)} of {len(rows)} rows; comparing {len(SETTINGS)} settings")
    facts: dict[str, str | int | float | None] = {"rows": len(rows), "held_out_rows": len(held_out), "seed": seed}
    compared, chosen_auc = _compare(part, groups, policy, seed, progress)
    models = {
        name: fit(part.x, part.y, seed, groups=groups, setting=setting, recall=policy.required_recall)
        for name, setting in SETTINGS.items()
    }
    chosen = _best(models, part)
    facts |= {f"auc, {name}": rounded(value) for name, value in compared.items()}
    facts |= {f"auc, {site} left out": value for site, value in _left_out_sites(part, chosen, seed).items()}
    facts |= {
        "auc, chosen in each fold": rounded(chosen_auc),
        "chosen": chosen,
        "stumps": models[chosen].boosted.stumps,
        "threshold": models[chosen].threshold,
        "recall, out of fold": rounded(_recall(models[chosen], part)),
    }
    behind = compared[BASELINE] - chosen_auc
    baseline = judge(
        "as good as the baseline",
        behind <= policy.behind_baseline,
        found=f"AUC {chosen_auc:.3f} nested cross-validated, {BASELINE} {compared[BASELINE]:.3f}",
        limit=f"at most {policy.behind_baseline:g} behind {BASELINE}",
        advice="Look at the snapshot's labels before you change a setting.",
        reference=_NESTED,
    )
    progress(f"chose {chosen}; nested cross-validated AUC {chosen_auc:.3f}")
    return Candidate(models[chosen], chosen, learnt, held_out), Report(
        step="train", checks=(enough, baseline), facts=facts
    )


def _compare(
    rows: Rows, groups: Index, policy: TrainingPolicy, seed: int, progress: Callable[[str], None]
) -> tuple[dict[str, float], float]:
    """Return the cross-validated AUC of each setting and of the baseline, and the nested one of choosing a setting."""
    outer = StratifiedGroupKFold(policy.folds, shuffle=True, random_state=seed)
    out_of_fold = {name: np.empty(len(rows)) for name in (*SETTINGS, BASELINE)}
    chosen = np.empty(len(rows))
    for fold, (inside, outside) in enumerate(outer.split(rows.x, rows.y, groups), 1):
        part, test = rows.take(inside), rows.x[outside]
        models = {
            name: fit(part.x, part.y, seed, groups=groups[inside], setting=setting)
            for name, setting in SETTINGS.items()
        }
        for name, model in models.items():
            out_of_fold[name][outside] = model.probability(test)
        out_of_fold[BASELINE][outside] = logistic_regression(part.x, part.y, test, seed)[0]
        chosen[outside] = models[_best(models, part)].probability(test)
        progress(f"fold {fold} of {policy.folds}")
    return {name: _auc(rows, values) for name, values in out_of_fold.items()}, _auc(rows, chosen)


def _best(models: dict[str, FittedModel], rows: Rows) -> str:
    """Return the setting with the best AUC out of fold, by models that did not see the patients."""
    return max(models, key=lambda name: _auc(rows, models[name].out_of_fold))


def _left_out_sites(rows: Rows, chosen: str, seed: int) -> dict[str, float | None]:
    """Return the AUC at each site of a model that learnt from the others, None where it cannot be had."""
    found: dict[str, float | None] = {}
    for site in sorted(set(rows.site.tolist())):
        others, own = rows.take(rows.site != site), rows.take(rows.site == site)
        try:
            model = fit(others.x, others.y, seed, groups=linked(others), setting=SETTINGS[chosen])
        except UserError:  # too few patients elsewhere, or a feature that only this site measures
            found[site] = None
        else:
            found[site] = rounded(_auc(own, model.probability(own.x)))
    return found


def _auc(rows: Rows, score: Vector) -> float:
    return float(auc(np.ones((1, len(rows))), rows.y, score)[0])


def _recall(model: FittedModel, rows: Rows) -> float:
    return float((model.out_of_fold >= model.threshold)[rows.y == 1].mean())
