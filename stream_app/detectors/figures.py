"""What the watch knows of the champion's last events and outcomes, as figures for a dashboard."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.outcomes import Performance


@dataclass(frozen=True, slots=True)
class Compared:
    """The last `events` (or outcomes) beside the reference.

    `distances` has each statistic's distance: 0 as usual, 1 as rare as an alarm; none in the first minute.
    `performance` is how good the model is by them.
    """

    events: int
    distances: Mapping[str, float]
    performance: Performance


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the champion's events and outcomes, None where there were none; `reference` is its performance there."""

    drift: Compared | None = None
    quality: Compared | None = None
    reference: Performance | None = None
