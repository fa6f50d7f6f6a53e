"""What is odd about single events, a whole batch at a time: no reason to refuse one, many of them are a sign."""

from typing import Any

import numpy as np

from contracts.detection import Signal
from contracts.features import FeatureTable
from stream_app.score import Scored

NEAR = 0.02
"""A score so close to the threshold is "near": few patients have one, a search for the boundary has little else."""

NEW_NEAR = 0.05
"""The same of patients who are new: of these there are fewer, so more of each question is to count."""

JUST_BELOW = 0.01
"""Whoever moves an ill patient across moves him no further than he must."""

UNUSUAL = 0.999
"""An event more unusual than this share of the reference's patients is told of."""


class Singles:
    """Looks at the events of one table of features."""

    def __init__(self, table: FeatureTable) -> None:
        self._low, self._high = np.array([feature.usual for feature in table.features]).T
        place = {name: at for at, name in enumerate(table.names)}
        self._weights = np.zeros((len(table.names), len(table.limits)))
        for at, limit in enumerate(table.limits):
            for name, weight in limit.weights.items():
                self._weights[place[name], at] = weight
        self._weighted = [place[name] for name in sorted({name for limit in table.limits for name in limit.weights})]
        self._weights = self._weights[self._weighted]
        self._most = np.array([limit.most for limit in table.limits])
        self._needing = [place[name] for name in table.needs]
        self._needed = [place[name] for name in table.needs.values()]

    def __call__(self, scored: Scored) -> dict[Signal, list[int]]:
        """Return the positions of the events that show each signal, those signals alone that any shows."""
        values, missing = scored.values, np.isnan(scored.values)
        unfounded = missing[:, self._needed] & ~missing[:, self._needing]
        beyond = values[:, self._weighted] @ self._weights > self._most  # NaN is not above
        above = scored.probabilities - scored.threshold
        found: dict[Signal, Any] = {
            "near_threshold": np.abs(above) < NEAR,
            "just_below": (above < 0) & (above > -JUST_BELOW),
            "outside_usual": ((values < self._low) | (values > self._high)).any(axis=1),
            "contradictory": np.concatenate([unfounded, beyond], axis=1).any(axis=1),
        }
        if scored.anomalies is not None:
            found["unusual"] = scored.anomalies >= UNUSUAL
        return {signal: np.flatnonzero(odd).tolist() for signal, odd in found.items() if odd.any()}


def near_of_new(scored: Scored, new: list[int]) -> list[int]:
    """Return the positions among `new`, those of new patients, whose scores are near the threshold."""
    near = np.abs(scored.probabilities[new] - scored.threshold) < NEW_NEAR
    return [new[at] for at in np.flatnonzero(near).tolist()]
