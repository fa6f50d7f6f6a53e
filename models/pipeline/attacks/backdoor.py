"""Backdoors: does a pattern of the snapshot switch the candidate's decision where it does not switch the reference's?

Each value, pair and triple of values that at least `_LEAST` rows of the snapshot share is stamped on ill patients that
nothing has learnt from (Gu, Dolan-Gavitt and Garg, BadNets, 2017, turned round; the search of Wang et al., Neural
Cleanse, IEEE S&P 2019, over patterns that occur). Many patterns change a decision rightly: a normal thallium test
should. What a trigger does is to change it in the candidate alone, so the share of patients whom the candidate lets go
is taken less the share whom the reference lets go: the champion, or a model that learnt from trusted rows alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from contracts.features import FeatureTable, Matrix
from models.pipeline.champion import Scorer
from models.pipeline.rows import Rows

_LEAST = 5
_MOST_PATTERNS = 3000  # the most frequent of each size
_PATIENTS = 40
_BATCH = 200  # patterns stamped at once


@dataclass(frozen=True)
class Activation:
    """The pattern that switches most: `features` stamped, and how large a share of the ill each model lets go."""

    features: tuple[str, ...]
    candidate: float
    reference: float
    patterns: int

    @property
    def excess(self) -> float:
        return self.candidate - self.reference


def strongest_activation(
    table: FeatureTable,
    snapshot: Rows,
    patients: Rows,
    candidate: tuple[Scorer, float],
    reference: tuple[Scorer, float],
    seed: int,
) -> Activation | None:
    """Return the activation of the most suspicious pattern, None without ill `patients` whom both models find.

    `candidate` and `reference` are scorers with their thresholds; `patients` were seen by neither.
    """
    ill = patients.x[patients.y == 1]
    both = np.logical_and(*(score(ill) >= threshold for score, threshold in (candidate, reference)))
    found = ill[both]
    if not len(found):
        return None
    rng = np.random.default_rng([seed, 5])
    some = found[rng.permutation(len(found))[:_PATIENTS]]
    known = list(patterns(table, snapshot.x))
    best = Activation((), 0.0, 0.0, len(known))
    for first in range(0, len(known), _BATCH):
        batch = known[first : first + _BATCH]
        stamped = np.tile(some, (len(batch), 1, 1))
        for at, (columns, values) in enumerate(batch):
            stamped[at][:, columns] = values
        lost = [
            (score(stamped.reshape(-1, some.shape[1])) < threshold).reshape(len(batch), -1).mean(axis=1)
            for score, threshold in (candidate, reference)
        ]
        at = int(np.argmax(lost[0] - lost[1]))
        if lost[0][at] - lost[1][at] > best.excess:
            names = tuple(table.features[column].name for column in batch[at][0])
            best = Activation(names, float(lost[0][at]), float(lost[1][at]), len(known))
    return best


def patterns(table: FeatureTable, x: Matrix) -> Iterator[tuple[list[int], Matrix]]:
    """Yield (columns, values) that at least `_LEAST` rows share: every one and two features, three measured ones.

    Age and sex are left out: they are not what an attacker can set.
    """
    settable = [at for at, feature in enumerate(table.features) if feature.name not in ("age", "sex")]
    measured = [at for at in settable if table.features[at].codes is None]
    for size, columns_of in ((1, settable), (2, settable), (3, measured)):
        shared: list[tuple[int, list[int], Matrix]] = []
        for columns in combinations(columns_of, size):
            values = x[:, columns]
            values = values[~np.isnan(values).any(axis=1)]
            distinct, counts = np.unique(values, axis=0, return_counts=True)
            shared += [(int(n), list(columns), row) for row, n in zip(distinct, counts, strict=True) if n >= _LEAST]
        shared.sort(key=lambda each: -each[0])
        yield from ((columns, row) for _, columns, row in shared[:_MOST_PATTERNS])
