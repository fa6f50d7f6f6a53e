"""The labelled rows that a candidate is made of and judged by, with whose they are and where they come from."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from contracts.features import Matrix
from models.fit import Groups, Labels

Index = npt.NDArray[np.int64]
"""Positions of rows, shape (k,)."""


@dataclass(frozen=True)
class Rows:
    """`x` (n, features) float32 with NaN where missing, `y` (n,) int64 in 0, 1, `site` (n,) str, `group` (n,): the
    patient's number. Raises `ValueError` for other shapes, types and labels.
    """

    x: Matrix
    y: Labels
    site: npt.NDArray[np.str_]
    group: Groups = field(repr=False)

    def __post_init__(self) -> None:
        if self.x.dtype != np.float32 or self.x.ndim != 2:
            raise ValueError("rows: expected a float32 matrix (n, features)")
        if not len(self.x) == len(self.y) == len(self.site) == len(self.group):
            raise ValueError("rows: expected a label, a site and a patient for each row")
        if not np.isin(self.y, (0, 1)).all():
            raise ValueError("rows: expected labels 0 and 1")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: npt.NDArray[np.bool_] | Index) -> "Rows":
        """Return the rows at `rows`, a mask (n,) or positions."""
        return Rows(self.x[rows], self.y[rows], self.site[rows], self.group[rows])

    def joined(self, other: "Rows") -> "Rows":
        """Return these rows and then those of `other`, whose patients' numbers mean the same."""
        return Rows(
            np.concatenate([self.x, other.x]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.site, other.site]),
            np.concatenate([self.group, other.group]),
        )


def row_contents(x: Matrix) -> list[bytes]:
    """Return each row's features as bytes, the same for equal rows, gaps included."""
    return [row.tobytes() for row in _canonical(x)]


def row_digests(x: Matrix) -> list[str]:
    """Return the SHA-256 (hex) of each row's features: what a training-data record names its rows by."""
    return [hashlib.sha256(b"cardiosentry row\n" + content).hexdigest() for content in row_contents(x)]


def near_duplicates(x: Matrix) -> Iterator[Index]:
    """Yield the positions of rows that are equal in all features, or in all but the same one.

    Two rows with different features missing differ there. Cost: a hash a row and feature, so a million rows are fine.
    """
    canonical = _canonical(x)
    for left_out in range(x.shape[1]):
        same: dict[bytes, list[int]] = defaultdict(list)
        kept = np.delete(canonical, left_out, axis=1)
        for row, content in enumerate(kept):
            same[content.tobytes()].append(row)
        yield from (np.array(rows) for rows in same.values() if len(rows) > 1)


def linked(rows: Rows) -> Groups:
    """Return the groups (n,) that no split may part: a patient's rows, and with them near-duplicates of them."""
    pairs = [(int(found[0]), int(other)) for found in near_duplicates(rows.x) for other in found[1:]]
    _, first, number = np.unique(rows.group, return_index=True, return_inverse=True)
    pairs += list(zip(first[number].tolist(), range(len(rows)), strict=True))
    a, b = np.array(pairs).T
    found = np.arange(len(rows))
    while (found[a] != found[b]).any():  # the lowest position spreads along the links
        least = np.minimum(found[a], found[b])
        np.minimum.at(found, a, least)
        np.minimum.at(found, b, least)
    return found


def _canonical(x: Matrix) -> Matrix:
    """Return `x` with one NaN and one zero, so that equal rows have equal bytes."""
    return np.ascontiguousarray(np.where(np.isnan(x), np.float32(np.nan), x + np.float32(0)))
