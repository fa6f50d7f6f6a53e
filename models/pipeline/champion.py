"""Candidate against champion, each at its own threshold, on the same rows and the same resamples of them.

A champion has often learnt from rows that are held out from the candidate, which flatters it. Where its training-data
record names its rows, they are compared on the others; where too few others are left, or it has no record, they are
compared on all of them and the check says that this is not fair to the candidate.
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
from models.pipeline.rows import Rows, row_digests

Scorer = Callable[[Matrix], npt.NDArray[np.floating]]
"""Probabilities (n,) of disease for a matrix (n, features) float32, NaN where missing."""

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
    """Return the checks that the candidate's AUC and recall are not behind the champion's.

    `probability` (n,) is the candidate's of `held_out`, `counts` (resamples, n) the resamples, the first row ones.
    """
    learnt = champion.learnt
    seen = np.array([learnt is not None and digest in learnt for digest in row_digests(held_out.x)])
    unseen = ~seen
    ill = int(held_out.y[unseen].sum())
    fair = learnt is not None and min(ill, int(unseen.sum()) - ill) >= policy.least_of_each
    use = unseen if fair else np.ones(len(held_out), dtype=np.bool_)
    y, counts = held_out.y[use], counts[:, use]
    ours, theirs = probability[use], np.asarray(champion.score(held_out.x[use]), dtype=np.float64)
    if learnt is None:
        story = "not a fair comparison: the champion has no record of the rows that it learnt from"
    elif fair:
        story = f"on the {len(y)} rows that the champion did not learn from"
    else:
        story = f"not a fair comparison: the champion learnt from {int(seen.sum())} of these {len(seen)} rows"
    deciders = ((ours, threshold), (theirs, champion.threshold))
    recalls = [figures(counts, y, score, score >= at)["recall"] for score, at in deciders]
    return [
        _compared("AUC", auc(counts, y, ours), auc(counts, y, theirs), policy.most_auc_lost, story, fair),
        _compared("recall", recalls[0], recalls[1], policy.most_recall_lost, story, fair),
    ]


def _compared(name: str, ours: Vector, theirs: Vector, most_lost: float, story: str, fair: bool) -> Check:
    """Return the check of one figure; both hold its value and then one a resample.

    Where the comparison is not `fair`, a small loss is what the champion's having learnt the rows would give.
    """
    gained = summarise(ours - theirs)
    drawn = (ours - theirs)[1:]
    drawn = drawn[~np.isnan(drawn)]
    # Two-sided: how often resamples lie on the other side of no difference, one added so that it is never 0.
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p = min(1.0, 2 * (tail + 1) / (len(drawn) + 1))
    return judge(
        f"{name} beside the champion's",
        bool(gained.value >= -most_lost and (gained.high >= 0 or not fair)),
        found=f"{ours[0]:.3f} beside {theirs[0]:.3f}: {gained.value:+.3f} ({gained.low:+.3f} to {gained.high:+.3f}), "
        f"p = {p:.3f}; {story}",
        limit=f"at most {most_lost:g} lost" + (", and no loss beyond what chance explains" if fair else ""),
        advice="Keep the champion, or hold rows out from both before you compare them.",
        reference=_PAIRED,
    )
