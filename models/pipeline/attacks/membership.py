"""Membership inference: can one who knows a patient's record and diagnosis tell that the model learnt from it?

Without shadow models: by the loss alone, lower for members (Yeom, Giacomelli, Fredrikson and Jha, Privacy risk in
machine learning, CSF 2018), and by the rule that who is decided rightly is a member. Beside the AUC stands how many
members are told at one false claim in a hundred, which is what hurts (Carlini et al., Membership inference attacks from
first principles, IEEE S&P 2022).
"""

from dataclasses import dataclass

import numpy as np

from models.fit import Vector
from models.metrics import Interval, auc, resample_patients, summarise
from models.pipeline.champion import Scorer
from models.pipeline.rows import Rows


@dataclass(frozen=True)
class Membership:
    """`auc` of the loss, 0.5 where nothing is given away; `advantage` is the largest true less false positive rate.

    `rule` is the advantage of the rule of right decisions; `at_one_percent` the true positive rate at a false one of
    1%.
    """

    auc: Interval
    advantage: float
    rule: float
    at_one_percent: float


def infer_membership(score: Scorer, threshold: float, members: Rows, others: Rows, seed: int) -> Membership:
    """Attack a model that learnt from `members` and not from `others`."""
    rows = members.joined(others)
    member = np.repeat(np.array([1, 0]), [len(members), len(others)])
    p = np.clip(np.asarray(score(rows.x), dtype=np.float64), 1e-7, 1 - 1e-7)
    confidence: Vector = np.where(rows.y == 1, np.log(p), np.log(1 - p))
    right = (p >= threshold) == (rows.y == 1)
    counts = resample_patients(member, rows.group, seed)
    claims = np.sort(np.unique(confidence))
    ours, theirs = (np.sort(confidence[member == kind]) for kind in (1, 0))
    true = 1 - np.searchsorted(ours, claims) / len(ours)
    false = 1 - np.searchsorted(theirs, claims) / len(theirs)
    return Membership(
        auc=summarise(auc(counts, member, confidence)),
        advantage=float((true - false).max()),
        rule=float(right[member == 1].mean() - right[member == 0].mean()),
        at_one_percent=float(true[false <= 0.01].max(initial=0.0)),
    )
