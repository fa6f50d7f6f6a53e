"""A sketch of a set of scored events: counts in bins and sums of products, all of them whole numbers.

Whole numbers add up to the same in any order, so sketches of batches, partitions and workers merge exactly. For each
feature, the score and the number of missing values it holds how many events fell into which bin. For changes that leave
each feature as it was and show in two together it holds the sum over the events of the product of the two features'
*grades*: the normal score of a value's bin, 0 where missing. Grades are bounded, so no outlier rules a sum, and all the
products of a batch are one multiplication of matrices: far cheaper than bins of random projections.
"""

from collections.abc import Sequence
from operator import add
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.reference import Column

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.intp]

_GRADE = 16
"""Units a standard deviation: finer than the bins, and small enough to be exact in float64 sums of any batch."""


class Sketch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """`events` and their `totals`: the bins of all columns, then the products of each two features.

    >>> Sketch(2, (1, 1)) + Sketch(3, (0, 3))
    Sketch(events=5, totals=(1, 4))
    """

    events: int
    totals: tuple[int, ...]

    def __add__(self, other: "Sketch") -> "Sketch":
        """Return the sketch of both sets; raises `ValueError` for a sketch of other bins."""
        if len(self.totals) != len(other.totals):
            raise ValueError(f"sketch: expected {len(self.totals)} totals, got {len(other.totals)}")
        return Sketch(self.events + other.events, tuple(map(add, self.totals, other.totals)))


class Sketcher:
    """Makes sketches by the columns of one bundle's reference statistics."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._features = len(columns) - 2
        self._low = np.array([column.low for column in columns])
        self._per_step = np.array([1 / column.step for column in columns])
        tables = [_bin_of_cell(column) for column in columns]
        self._last = np.array([len(table) - 2 for table in tables], dtype=np.float64)
        self._cell = np.cumsum([0, *(len(table) for table in tables)])[:-1]
        first_bins = np.cumsum([0, *(len(column.shares) for column in columns)])
        self._slot_of_cell = np.concatenate(
            [table + first for table, first in zip(tables, first_bins, strict=False)], dtype=np.intp
        )
        self._bins, self._first_score_bin = int(first_bins[-1]), int(first_bins[-3])
        self._grade = np.concatenate([grades(column) for column in columns])
        self._pairs = np.triu_indices(self._features, 1)

    @property
    def size(self) -> int:
        """How many totals a sketch has."""
        return self._bins + len(self._pairs[0])

    def sketch(self, values: Floats, probabilities: Floats) -> Sketch:
        """Return the sketch of `values` (n, features) float64, NaN where missing, and `probabilities` (n,).

        Raises `ValueError` for another shape.
        """
        slots = self.slots(values, probabilities)
        counts = np.bincount(slots.ravel(), minlength=self._bins)
        graded = self._grade.take(slots[:, : self._features])
        products = (graded.T @ graded)[self._pairs]
        return Sketch(len(values), (*counts.tolist(), *map(int, products.tolist())))

    def slots(self, values: Floats, probabilities: Floats) -> Slots:
        """Return the bin of each event in each column, (n, columns), numbered through all columns."""
        if values.ndim != 2 or values.shape != (len(probabilities), self._features):
            expected = (len(probabilities), self._features)
            raise ValueError(f"sketch: expected values of the shape {expected}, got {values.shape}")
        cells = np.empty((len(values), self._features + 2))
        cells[:, :-2] = values
        missing = np.isnan(values)
        cells[:, -2] = probabilities
        cells[:, -1] = missing.sum(axis=1)
        cells -= self._low
        cells *= self._per_step
        np.rint(cells, out=cells)
        np.clip(cells, 0, self._last, out=cells)
        cells[:, :-2][missing] = np.broadcast_to(self._last[:-2] + 1, missing.shape)[missing]
        found: Slots = self._slot_of_cell.take(cells.astype(np.intp) + self._cell)
        return found

    def score_bins(self, probabilities: Floats) -> Slots:
        """Return the bin of each of `probabilities` (n,) in the score's column, numbered from 0."""
        cells = np.rint((probabilities - self._low[-2]) * self._per_step[-2])
        np.clip(cells, 0, self._last[-2], out=cells)
        found: Slots = self._slot_of_cell.take(cells.astype(np.intp) + self._cell[-2]) - self._first_score_bin
        return found

    def window_totals(self, slots: Slots, events: int) -> npt.NDArray[np.float32]:
        """Return the totals of windows of `events` successive rows of `slots`, shape (windows, totals)."""
        windows = len(slots) // events
        rows = slots[: windows * events].reshape(windows, -1) + (np.arange(windows) * self._bins)[:, None]
        counts = np.bincount(rows.ravel(), minlength=windows * self._bins).reshape(windows, -1)
        graded = self._grade.take(slots[: windows * events, : self._features]).astype(np.float32)
        graded = graded.reshape(windows, events, -1)
        products = np.matmul(graded.transpose(0, 2, 1), graded)[:, *self._pairs]
        return np.concatenate([counts, products], axis=1, dtype=np.float32)


def grades(column: Column) -> Floats:
    """Return the grade of each bin: the normal score of its middle among the present values; 0 for missing."""
    present = np.array(column.shares[:-1])
    if not present.any():
        return np.zeros(len(column.shares))
    middle = (np.cumsum(present) - present / 2) / present.sum()
    scores = [NormalDist().inv_cdf(min(max(float(at), 1e-3), 1 - 1e-3)) for at in middle]
    return np.array([*(float(round(_GRADE * score)) for score in scores), 0.0])


def _bin_of_cell(column: Column) -> Slots:
    """Return the bin of each step from `low` to `high`, then that of missing."""
    cells = round((column.high - column.low) / column.step) + 1
    at = column.low + column.step * np.arange(cells)
    return np.append(np.searchsorted(np.array(column.edges), at - column.step / 1e3), len(column.shares) - 1)
