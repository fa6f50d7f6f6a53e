"""Attacks on a candidate: each is carried out, its success is measured and held against the policy."""

import math

import msgspec

from contracts.features import FeatureTable
from models.artefact import fault
from models.pipeline.attacks.backdoor import strongest_activation
from models.pipeline.attacks.bundle import rows_in_manifest
from models.pipeline.attacks.evasion import BUDGETS, evade
from models.pipeline.attacks.extraction import extract
from models.pipeline.attacks.membership import infer_membership
from models.pipeline.attacks.poisoning import PoisoningPolicy
from models.pipeline.champion import Champion, Scorer
from models.pipeline.check import Check, Finding, Report
from models.pipeline.judge import judge, rounded
from models.pipeline.rows import Rows

_Facts = dict[str, str | int | float | None]


class AttackPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far each attack may get; policy/attacks.toml says why the defaults are what they are."""

    evasion_budget: float = 0.05
    most_evaded: float = 0.15
    most_membership_auc: float = 0.60
    extraction_queries: int = 1000
    most_fidelity: float = 0.98
    most_activation: float = 0.40
    poisoning: PoisoningPolicy = PoisoningPolicy()


def attack(
    table: FeatureTable,
    score: Scorer,
    threshold: float,
    train: Rows,
    held_out: Rows,
    reference: Champion,
    onnx: bytes,
    manifest: bytes,
    policy: AttackPolicy,
    seed: int,
) -> Report:
    """Attack the candidate that `score`s with `threshold`, learnt from `train` and not from `held_out`.

    `reference` is a model that cannot hold the candidate's backdoor: the champion, or one fitted on trusted rows.
    `onnx` and `manifest` are the files of the candidate's bundle. The same inputs and seed give the same report.
    """
    facts: _Facts = {"seed": seed}
    checks = (
        _evasion(table, score, threshold, held_out, policy, facts),
        _membership(score, threshold, train, held_out, policy, seed, facts),
        _extraction(table, score, threshold, held_out, policy, seed, facts),
        _backdoor(table, (score, threshold), train, held_out, reference, policy, seed, facts),
        _manifest(manifest, table, train, held_out),
        _artefact(onnx),
    )
    return Report(step="attack", checks=checks, facts=facts)


def _evasion(
    table: FeatureTable, score: Scorer, threshold: float, held_out: Rows, policy: AttackPolicy, facts: _Facts
) -> Check:
    found = evade(table, score, threshold, held_out)
    share = found.success(policy.evasion_budget)
    facts |= {f"evaded within {budget:g} of the usual range": rounded(found.success(budget)) for budget in BUDGETS}
    facts |= {"evasion, median budget": rounded(found.median)}
    return judge(
        "evasion",
        share <= policy.most_evaded,
        found=f"{share:.1%} of {len(found.needed)} right decisions turned; where one turns at all, the median needs "
        f"{found.median:.1%} of the usual range",
        limit=f"at most {policy.most_evaded:.0%} when no measurement moves by more than {policy.evasion_budget:.0%} of "
        "its usual range",
        advice="Small errors of measurement decide: train with larger leaves, or leave out the feature that gives way.",
        reference="MITRE ATLAS AML.T0043; Wang et al., On Lp-norm robustness of ensemble decision stumps, ICML 2020",
    )


def _membership(
    score: Scorer, threshold: float, train: Rows, held_out: Rows, policy: AttackPolicy, seed: int, facts: _Facts
) -> Check:
    found = infer_membership(score, threshold, train, held_out, seed)
    facts |= {"membership, AUC": rounded(found.auc.value), "membership, advantage": rounded(found.advantage)}
    facts |= {
        "membership, advantage of right decisions": rounded(found.rule),
        "membership, told at 1% false": rounded(found.at_one_percent),
    }
    return judge(
        "membership inference",
        found.auc.value <= policy.most_membership_auc,
        found=f"AUC {found.auc.value:.3f} ({found.auc.low:.3f} to {found.auc.high:.3f}), advantage "
        f"{found.advantage:.3f}; {found.at_one_percent:.1%} of members told at 1% false claims",
        limit=f"AUC at most {policy.most_membership_auc:g}; 0.5 gives nothing away",
        advice="The model remembers its patients: fewer trees or larger leaves.",
        reference="MITRE ATLAS AML.T0024.000; Yeom et al., CSF 2018; Carlini et al., IEEE S&P 2022",
    )


def _extraction(
    table: FeatureTable,
    score: Scorer,
    threshold: float,
    held_out: Rows,
    policy: AttackPolicy,
    seed: int,
    facts: _Facts,
) -> Check:
    found = extract(table, score, threshold, held_out, policy.extraction_queries, seed)
    facts |= {"extraction, queries": found.queries, "extraction, fidelity": rounded(found.fidelity)}
    return judge(
        "extraction",
        found.fidelity <= policy.most_fidelity,
        found=f"a copy from {found.queries} queries decides alike for {found.fidelity:.1%} of the patients; one that "
        f"always says the same for {found.majority:.1%}",
        limit=f"at most {policy.most_fidelity:.0%}",
        advice="Publish decisions or coarser probabilities, and watch for whoever asks this much of one source.",
        reference="MITRE ATLAS AML.T0024.002; Tramèr et al., USENIX Security 2016",
    )


def _backdoor(
    table: FeatureTable,
    candidate: tuple[Scorer, float],
    train: Rows,
    held_out: Rows,
    reference: Champion,
    policy: AttackPolicy,
    seed: int,
    facts: _Facts,
) -> Check:
    found = strongest_activation(table, train, held_out, candidate, (reference.score, reference.threshold), seed)
    excess = math.nan if found is None else found.excess
    facts |= {"backdoor, patterns tried": None if found is None else found.patterns}
    facts |= {"backdoor, strongest excess": rounded(excess)}
    text = (
        "no ill patient whom candidate and reference both find"
        if found is None
        else f"{found.patterns} patterns tried; the strongest, of {', '.join(found.features) or 'none'}, makes the "
        f"candidate miss {found.candidate:.0%} of the ill, the reference {found.reference:.0%}"
    )
    return judge(
        "backdoor",
        excess <= policy.most_activation,
        found=text,
        limit=f"no pattern of the snapshot makes it miss over {policy.most_activation:.0%} more of the ill than that",
        advice="Find the rows that share this pattern, and who sent them, before you train again without them.",
        reference="MITRE ATLAS AML.T0018; Wang et al., Neural Cleanse, IEEE S&P 2019",
    )


def _manifest(manifest: bytes, table: FeatureTable, train: Rows, held_out: Rows) -> Check:
    found = {
        name: rows_in_manifest(manifest, table, rows) for name, rows in (("training", train), ("held-out", held_out))
    }
    return judge(
        "no patient in the manifest",
        not any(found.values()),
        found=", ".join(f"{len(rows)} {name} rows" for name, rows in found.items()),
        limit="none",
        advice="Leave the rows out of the manifest: a bundle is published.",
        reference="MITRE ATLAS AML.T0057",
        findings=tuple(
            Finding(id="row-in-manifest", where=f"{name} row {row}", what="its features stand in the manifest")
            for name, rows in found.items()
            for row in rows
        ),
    )


def _artefact(onnx: bytes) -> Check:
    found = fault(onnx)
    return judge(
        "safe artefact",
        found is None,
        found=found or "an ONNX graph of known operators",
        limit="operators of the allow-list, no external data, no code",
        advice="Export the model again; a worker would refuse this file.",
        reference="MITRE ATLAS AML.T0011.000",
    )
