"""Candidate against champion, each at its own threshold, on the same rows and the same resamples of them.

A model looks better on rows that it learnt from, and no figure says by how much. So the two are compared on held-out
rows that the champion did not learn from either, nor any row of the same patient or a near-duplicate. Where these are
too few, or nobody knows what the champion learnt from, the comparison is left out and the check says so: what passes
goes on trial beside the champion, on patients that are new to both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.features import Matrix
from models.fit import Vector
from models.metrics import Counts, auc, figures, summarise
from models.pipeline.check import Check
from models.pipeline.judge import judge
from models.pipeline.rows import Rows, linked, row_digests

Scorer = Callable[[Matrix], npt.NDArray[np.floating]]
"""Probabilities (n,) of disease for a matrix (n, features) float32, NaN where missing."""

NOT_COMPARED = "beside the champion"

_OPTIMISM = "Efron, Estimating the error rate of a prediction rule, JASA 78:316, 1983"
_PAIRED = "paired bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16"


class ChampionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much worse than the champion a candidate may be."""

    most_auc_lost: float = 0.02
    most_recall_lost: float = 0.05
    least_of_each: int = 30


@dataclass(frozen=True)
class Champion:
    """The model in use. `learnt` are the `row_digests` of its training rows, None where it has no such record."""

    score: Scorer
    threshold: float
    learnt: frozenset[str] | None = None


def compare(
    probability: Vector, threshold: float, held_out: Rows, counts: Counts, champion: Champion, policy: ChampionPolicy
) -> list[Check]:
    """Return the checks that the candidate's AUC and recall are not behind the champion's, or why there are none.

    `probability` (n,) is the candidate's of `held_out`, `counts` (resamples, n) the resamples, the first row ones.
    """
    if champion.learnt is None:
        return [_left_out("nobody knows which rows the champion learnt from", policy)]
    use = new_to(champion.learnt, held_out)
    y = held_out.y[use]
    ill, well = int(y.sum()), int((1 - y).sum())
    if min(ill, well) < policy.least_of_each:
        new = f"{ill} ill and {well} healthy of {len(held_out)} rows are new to the champion too"
        return [_left_out(new, policy)]
    counts, story = counts[:, use], f"on the {len(y)} rows that are new to both"
    ours, theirs = probability[use], np.asarray(champion.score(held_out.x[use]), dtype=np.float64)
    deciders = ((ours, threshold), (theirs, champion.threshold))
    recalls = [figures(counts, y, score, score >= at)["recall"] for score, at in deciders]
    return [
        _compared("AUC", auc(counts, y, ours), auc(counts, y, theirs), policy.most_auc_lost, story),
        _compared("recall", recalls[0], recalls[1], policy.most_recall_lost, story),
    ]


def new_to(learnt: frozenset[str], rows: Rows) -> npt.NDArray[np.bool_]:
    """Return which rows (n,) are of patients of whom none is in `learnt`, near-duplicates included."""
    seen = np.array([digest in learnt for digest in row_digests(rows.x)])
    group = linked(rows)
    return ~np.isin(group, group[seen])


def _left_out(why: str, policy: ChampionPolicy) -> Check:
    return Check(
        name=NOT_COMPARED,
        verdict="waived",
        found=f"not compared: {why}",
        limit=f"at least {policy.least_of_each} ill and as many healthy rows that are new to both",
        advice="Compare the two on trial: predictions and shadow-predictions of the same events, once outcomes are in.",
        reference=_OPTIMISM,
    )


def _compared(name: str, ours: Vector, theirs: Vector, most_lost: float, story: str) -> Check:
    """Return the check of one figure; both hold its value and then one a resample."""
    gained = summarise(ours - theirs)
    drawn = (ours - theirs)[1:]
    drawn = drawn[~np.isnan(drawn)]
    # Two-sided: how often resamples lie on the other side of no difference, one added so that it is never 0.
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p = min(1.0, 2 * (tail + 1) / (len(drawn) + 1))
    return judge(
        f"{name} beside the champion's",
        bool(gained.value >= -most_lost and gained.high >= 0),
        found=f"{ours[0]:.3f} beside {theirs[0]:.3f}: {gained.value:+.3f} ({gained.low:+.3f} to {gained.high:+.3f}), "
        f"p = {p:.3f}; {story}",
        limit=f"at most {most_lost:g} lost, and no loss beyond what chance explains",
        advice="Keep the champion, or collect more outcomes and train again.",
        reference=_PAIRED,
    )
