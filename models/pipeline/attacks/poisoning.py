"""Is a snapshot poisoned? Asked before anything learns from it, and of the parts that are new alone.

`trusted` are rows that were judged before: the training rows of an earlier, signed model, or the data that the project
ships. Without them nothing can be said, and that is a failure, not a pass.
"""

import msgspec
import numpy as np

from contracts.features import FeatureTable
from models.pipeline.attacks.labels import label_test
from models.pipeline.attacks.stamps import stamps
from models.pipeline.check import Check, Finding, Report
from models.pipeline.judge import judge, rounded
from models.pipeline.rows import Rows

_LEAST_TRUSTED = 200


class PoisoningPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a snapshot is taken to be poisoned; policy/attacks.toml says why the defaults are what they are."""

    false_rejections: float = 0.05
    simulations: int = 199
    stamp_surprise: float = 6.0


def examine_snapshot(table: FeatureTable, trusted: Rows, snapshot: Rows, policy: PoisoningPolicy, seed: int) -> Report:
    """Return what speaks for poison in `snapshot`; the same inputs and seed give the same report."""
    facts: dict[str, str | int | float | None] = {"trusted_rows": len(trusted), "snapshot_rows": len(snapshot)}
    new = sorted(set(snapshot.site.tolist()) - set(trusted.site.tolist()))
    facts |= {"new_sites": len(new), "rows_of_new_sites": sum(site in new for site in snapshot.site.tolist())}
    labels, scores = _labels(table, trusted, snapshot, policy, seed)
    facts |= {f"labels, {name}": rounded(score) for name, score in scores.items()}
    return Report(step="poisoning", checks=(labels, _stamps(table, snapshot, policy)), facts=facts)


def _labels(
    table: FeatureTable, trusted: Rows, snapshot: Rows, policy: PoisoningPolicy, seed: int
) -> tuple[Check, dict[str, float]]:
    limit = f"more extreme than {policy.false_rejections:.0%} of clean snapshots: refused"
    reference = "MITRE ATLAS AML.T0020; Spiegelhalter 1986; Zhang and Neill 2016"
    if len(trusted) < _LEAST_TRUSTED or not 0 < trusted.y.sum() < len(trusted):
        found = f"{len(trusted)} trusted rows, at least {_LEAST_TRUSTED} of both kinds are needed"
        advice = "Give rows that were judged before."
        return judge("labels", False, found=found, limit=limit, advice=advice, reference=reference), {}
    test = label_test(table, trusted, _one_each(snapshot, seed), policy.simulations, seed)
    name = max(test.scores, key=test.scores.__getitem__)
    check = judge(
        "labels",
        test.p > policy.false_rejections,
        found=f"p = {test.p:.3f}; furthest off: {name}, by {test.highest:.1f} standard deviations",
        limit=limit,
        advice="Ask the sites for the outcomes of the rows that are furthest off before anything learns from them.",
        reference=reference,
    )
    return check, test.scores


def _one_each(rows: Rows, seed: int) -> Rows:
    """Return one row of each patient, drawn at random: rows of one patient are no independent witnesses."""
    order = np.random.default_rng([seed, 3]).permutation(len(rows))
    return rows.take(np.sort(order[np.unique(rows.group[order], return_index=True)[1]]))


def _stamps(table: FeatureTable, snapshot: Rows, policy: PoisoningPolicy) -> Check:
    found = stamps(table, snapshot, policy.stamp_surprise)
    findings = tuple(
        Finding(
            id="stamp",
            where=", ".join(stamp.features),
            what=f"{len(stamp.rows)} rows share their values, {stamp.expected:.2g} would by chance; first row "
            f"{stamp.rows[0]}",
        )
        for stamp in found[:20]
    )
    highest = f"the clearest 1 in 10^{found[0].surprise:.0f}" if found else "nothing beyond chance"
    return judge(
        "stamps",
        not found,
        found=f"{len(found)} combinations of values; {highest}",
        limit=f"none that chance makes once in 10^{policy.stamp_surprise:g}",
        advice="Look at the rows that share these values: a trigger, a device's fault, or one patient many times.",
        reference="MITRE ATLAS AML.T0018; Gu, Dolan-Gavitt and Garg, BadNets, 2017",
        findings=findings,
    )
