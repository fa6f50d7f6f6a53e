"""Extraction: how good a copy of the model does one get for a number of queries?

The attacker knows the feature table, which the bundle publishes, and no patient: queries are drawn evenly from the
usual ranges and the codes. A regression of the answered log-odds is the copy (Tramèr, Zhang, Juels, Reiter and
Ristenpart, Stealing machine learning models via prediction APIs, USENIX Security 2016).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from contracts.features import FeatureTable, Matrix
from models.fit import Vector
from models.pipeline.champion import Scorer
from models.pipeline.rows import Rows


@dataclass(frozen=True)
class Extraction:
    """`fidelity` is the share of real patients for whom the copy decides as the model does; `majority` that of a copy
    that always says what the model says most often.
    """

    queries: int
    fidelity: float
    majority: float


def extract(
    table: FeatureTable, score: Scorer, threshold: float, patients: Rows, queries: int, seed: int
) -> Extraction:
    """Return how well a copy made of `queries` answers agrees with the model on `patients`."""
    asked = _queries(table, queries, np.random.default_rng([seed, 6]))
    copy = HistGradientBoostingRegressor(max_depth=2, min_samples_leaf=5, random_state=seed)
    copy.fit(asked, _logit(np.asarray(score(asked), dtype=np.float64)))
    theirs = np.asarray(score(patients.x)) >= threshold
    ours = copy.predict(patients.x) >= float(_logit(np.array([threshold]))[0])
    return Extraction(queries, float((ours == theirs).mean()), float(max(theirs.mean(), 1 - theirs.mean())))


def _queries(table: FeatureTable, count: int, rng: np.random.Generator) -> Matrix:
    columns = [
        rng.choice([float(code) for code in feature.codes], size=count)
        if feature.codes
        else rng.uniform(*feature.usual, size=count)
        for feature in table.features
    ]
    asked = np.column_stack(columns).astype(np.float32)
    asked[rng.random(asked.shape) < 0.1] = np.nan  # gaps are answered too
    return asked


def _logit(p: Vector) -> Vector:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    found: Vector = np.log(p / (1 - p))
    return found
