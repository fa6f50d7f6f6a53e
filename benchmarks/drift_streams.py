"""Streams of the drift benchmark: patients of Cleveland, and what becomes of them.

Every stream is a smoothed bootstrap (models/population.py) of real rows, the score of each event in the last column.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.features import Matrix
from contracts.heart_disease import HEART_DISEASE
from contracts.reference import ReferenceStatistics
from models.calibrate import make_reference
from models.dataset import Dataset, load_dataset
from models.export import INPUT_NAME, OUTPUT_NAME, export_onnx
from models.fit import fit, threshold_for_recall
from models.population import Population
from models.session import open_session

Floats = npt.NDArray[np.float64]
Score = Callable[[Matrix], npt.NDArray[np.floating]]

GRADUAL = 1000  # events until a gradual change is complete
BEFORE = 200  # clean events, and up to 40 more, so that windows begin anywhere

_PLACE = {name: at for at, name in enumerate(HEART_DISEASE.names)}


class Scenarios:
    """Draws clean and drifted streams; the same seed draws the same."""

    def __init__(self, score: Score, seed: int) -> None:
        self.patients = load_dataset().distinct()
        self.rng = np.random.default_rng([seed, 7])
        self._score = score
        self.home = self.patients.take(self.patients.site == "Cleveland")
        self._home = _population(self.home)
        sites = ("Hungary", "Switzerland", "VA Long Beach")
        self._sites = {site: _population(self.patients.take(self.patients.site == site)) for site in sites}
        self._ill = _population(self.home.take(self.home.y == 1))

    def scored(self, values: Floats) -> Floats:
        """Return the events with their scores as the last column."""
        return np.column_stack([values, self._score(values.astype(np.float32))]).astype(np.float64)

    def clean(self, events: int) -> Floats:
        return self.scored(self._home.draw(events, self.rng))

    def changes(self) -> dict[str, Callable[[int], Floats]]:
        """Return for each scenario what draws so many events after the change begins."""
        made: dict[str, Callable[[int], Floats]] = {
            f"site: {site}": lambda events, there=there: there.draw(events, self.rng)  # type: ignore[misc]
            for site, there in self._sites.items()
        }
        return {
            **made,
            "gradual, to Hungary": self._gradual,
            "one sensor, chol +1 mg/dL in 5 events": self._sensor,
            "one sensor, thalch -15 at once": self._step,
            "missing, 30% of thalch": self._missing,
            "prior, 46% to 75% ill": self._prior,
        }

    def drifted(self, change: Callable[[int], Floats], before: int, after: int) -> Floats:
        return self.scored(np.concatenate([self._home.draw(before, self.rng), change(after)]))

    def _gradual(self, events: int) -> Floats:
        there = self.rng.random(events) < np.arange(events) / GRADUAL
        far, near = self._sites["Hungary"].draw(events, self.rng), self._home.draw(events, self.rng)
        return np.where(there[:, None], far, near)

    def _sensor(self, events: int) -> Floats:
        found = self._home.draw(events, self.rng)
        found[:, _PLACE["chol"]] += np.minimum(np.arange(events) // 5, 100)
        return found

    def _step(self, events: int) -> Floats:
        found = self._home.draw(events, self.rng)
        found[:, _PLACE["thalch"]] -= 15
        return found

    def _missing(self, events: int) -> Floats:
        found = self._home.draw(events, self.rng)
        found[self.rng.random(events) < 0.3, _PLACE["thalch"]] = np.nan
        return found

    def _prior(self, events: int) -> Floats:
        more = self.rng.random(events) < (0.75 - 0.46) / (1 - 0.46)
        return np.where(more[:, None], self._ill.draw(events, self.rng), self._home.draw(events, self.rng))


def _population(rows: Dataset) -> Population:
    return Population(HEART_DISEASE, rows.x, rows.site)


def scorer(x: Any, y: Any, seed: int) -> Score:
    """Return what the product's own model, trained on `x` and `y`, answers."""
    session = open_session(export_onnx(fit(x, y, seed), HEART_DISEASE))

    def score(values: Any) -> Any:
        return session.run([OUTPUT_NAME], {INPUT_NAME: values})[0].reshape(-1)

    return score


def reference_of(patients: Dataset, score: Score, seed: int) -> ReferenceStatistics:
    """Return the reference of patients whom this model scores, at the threshold that training would choose for them."""
    threshold = threshold_for_recall(score(patients.x).astype(np.float64), patients.y)
    return make_reference(HEART_DISEASE, patients.x, patients.y, patients.site, score, threshold, seed)
