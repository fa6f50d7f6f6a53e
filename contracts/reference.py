"""What a stream is compared with: the distribution of some patients, and how the statistics behave under it.

It is made by models/calibrate.py, of the training patients and signed in the bundle's manifest, or of a hospital's own
and signed in a baseline (contracts/releases.py). Everything that a threshold needs is here, so a detector simulates
nothing and needs no data.
"""

from itertools import pairwise
from typing import Annotated

import msgspec

from contracts.features import FeatureTable

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

SCORE, MISSING, FEATURES, JOINT, PERFORMANCE = "score", "missing", "features", "joint", "performance"
"""The statistics of events that are no feature's own: the probabilities; how many values an event lacks; all features
taken together; the products of each two features; how good the model is estimated to be, by the scores alone."""

OUTCOME_STATISTICS = ("calibration", "slope", "bins", "brier", "sensitivity", "specificity")
"""The statistics of outcomes, all of outcome less what its score lets expect (models/outcomes.py)."""

ALL = "all"
"""The largest of all statistics, which is what alarms."""

WINDOW_EVENTS = 20
"""Events that a window has at least. Fewer react sooner to a great change, but their statistics are coarse."""

WINDOW_GRID = (1, 4, 16, 64)
"""Of how many windows the null distribution is kept; of more events than the last it no longer changes."""

POPULATION = 20_000
"""Patients behind a clean stream, where nobody counted them. With half as many or without any who return, the spacing
of false alarms moves by less than a fifth (docs/detection-benchmark.md)."""


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One variable of an event in bins: a feature, the score, or the number of missing values.

    A present value falls into the first bin whose upper edge is not below it, rounded to `step` from `low`; what is
    above all edges into the last but one. The last bin is for what is missing. `shares` are the bins' expected ones.
    """

    name: str
    coded: bool
    low: float
    high: float
    step: Annotated[float, msgspec.Meta(gt=0)]
    edges: tuple[float, ...]
    shares: tuple[Share, ...]

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.edges) + 2:
            raise ValueError(f"column {self.name}: expected {len(self.edges) + 2} shares, got {len(self.shares)}")
        if not self.low < self.high or (self.high - self.low) / self.step > MAX_CELLS:
            raise ValueError(f"column {self.name}: expected a range of at most {MAX_CELLS} steps")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"column {self.name}: expected rising edges")

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the bins, for people."""
        if not self.edges:
            return ("any", "missing")
        between = (f"{a:g}-{b:g}" for a, b in pairwise(self.edges))
        return (f"<={self.edges[0]:g}", *between, f">{self.edges[-1]:g}", "missing")


MAX_CELLS = 4096


class Null(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one statistic behaves while nothing changes.

    `mean` and `sd` are of its fourth root, one for each entry of `WINDOW_GRID`. `thresholds` are the normal scores that
    are reached once in `ReferenceStatistics.spacings` windows on average. `ALL` has thresholds alone, and they are
    rarities: the log of how many windows lie between two scores as high of one statistic by itself.
    """

    mean: tuple[float, ...]
    sd: tuple[Annotated[float, msgspec.Meta(gt=0)], ...]
    thresholds: tuple[float, ...]


class Likeness(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is usual of all features together (models/unlike.py).

    `mean`, `sd` and the square `whitening` are of the features; `distances` are the quantiles `LIKENESS_GRID` of the
    squared distance.
    """

    mean: tuple[float, ...]
    sd: tuple[Annotated[float, msgspec.Meta(gt=0)], ...]
    whitening: tuple[tuple[float, ...], ...]
    distances: tuple[Annotated[float, msgspec.Meta(gt=0)], ...]


LIKENESS_GRID = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)


class OutcomeReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What outcomes are compared with, by the bins of `SCORE` but that of missing ones.

    `positive` is the share of outcomes 1; `error_positive` and `error_negative` are the mean squared difference of the
    probability from 1 among them, and from 0 among the others. From bin `flagged` on the decision is "positive".
    `nulls` has each of `OUTCOME_STATISTICS` and `ALL`.
    """

    positive: tuple[Share, ...]
    error_positive: tuple[Share, ...]
    error_negative: tuple[Share, ...]
    flagged: Annotated[int, msgspec.Meta(ge=0)]
    nulls: dict[str, Null]

    def __post_init__(self) -> None:
        if not len(self.positive) == len(self.error_positive) == len(self.error_negative) > self.flagged:
            raise ValueError("outcome reference: expected as many shares as errors, and more than `flagged`")


class ReferenceStatistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Expected bins and products, and the null distribution of each statistic.

    `population` is how many patients stand behind it and the stream: both are samples, so without any change a share's
    variance over n events of the stream is n/population larger than that of n draws from the reference.
    `columns` are the features in the order of the table, then `SCORE` and `MISSING`. `products` and `product_sd` are
    the expected product of the grades of each two features (models/sketch.py) and its standard deviation in one event.
    `nulls` has each statistic by name. `spacings` are in windows, of events or of outcomes. `likeness` is for single
    events.
    """

    window_events: Annotated[int, msgspec.Meta(ge=1)]
    population: Annotated[int, msgspec.Meta(ge=1)]
    columns: tuple[Column, ...]
    products: tuple[float, ...]
    product_sd: tuple[Annotated[float, msgspec.Meta(gt=0)], ...]
    spacings: tuple[float, ...]
    nulls: dict[str, Null]
    outcomes: OutcomeReference
    likeness: Likeness

    def __post_init__(self) -> None:
        features = len(self.columns) - 2
        names = [column.name for column in self.columns]
        if features < 2 or names[-2:] != [SCORE, MISSING]:
            raise ValueError("reference statistics: expected two features or more, then score and missing")
        sizes_of = [len(self.likeness.mean), len(self.likeness.sd), *map(len, self.likeness.whitening)]
        if sizes_of != [features] * (features + 2):
            raise ValueError(f"likeness: expected {features} features, got {sizes_of}")
        if len(self.likeness.distances) != len(LIKENESS_GRID) or list(self.likeness.distances) != sorted(
            set(self.likeness.distances)
        ):
            raise ValueError(f"likeness: expected {len(LIKENESS_GRID)} rising distances")
        pairs = features * (features - 1) // 2
        if not len(self.products) == len(self.product_sd) == pairs:
            raise ValueError(f"reference statistics: expected {pairs} products, got {len(self.products)}")
        if set(self.nulls) != {*names, FEATURES, JOINT, PERFORMANCE, ALL}:
            raise ValueError("reference statistics: expected the null distribution of every statistic")
        if set(self.outcomes.nulls) != {*OUTCOME_STATISTICS, ALL}:
            raise ValueError("outcome reference: expected the null distribution of every statistic")
        if len(self.outcomes.positive) != len(self.score.shares) - 1:
            raise ValueError(f"outcome reference: expected {len(self.score.shares) - 1} shares")
        for name, null in (*self.nulls.items(), *self.outcomes.nulls.items()):
            sizes = 0 if name == ALL else len(WINDOW_GRID)
            if (len(null.mean), len(null.sd), len(null.thresholds)) != (sizes, sizes, len(self.spacings)):
                raise ValueError(f"null distribution of {name}: expected {sizes} sizes, {len(self.spacings)} spacings")
            if any(high <= low for low, high in pairwise(null.thresholds)):
                raise ValueError(f"null distribution of {name}: expected rising thresholds")
        if len(self.spacings) < 3 or self.spacings[0] < 1 or list(self.spacings) != sorted(set(self.spacings)):
            raise ValueError("reference statistics: expected three rising spacings or more")

    @property
    def totals(self) -> int:
        """How many totals a sketch of these columns has."""
        return len(self.products) + sum(len(column.shares) for column in self.columns)

    @property
    def score(self) -> Column:
        """The column of the probabilities."""
        return self.columns[-2]

    def replaces(self, own: "ReferenceStatistics") -> bool:
        """Return whether these can stand in for a model's `own`: of the same features, the score in the same bins."""
        names, own_names = ([column.name for column in each.columns] for each in (self, own))
        return names == own_names and self.score.edges == own.score.edges

    def fits(self, table: FeatureTable) -> bool:
        """Return whether these are statistics of the features of `table`."""
        return tuple(column.name for column in self.columns[:-2]) == table.names
