"""A feature table: what a model reads, as data. Decoding, validation, statistics and documentation come from it."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
"""Features of a batch, shape (n, features) float32, NaN where a value is missing."""


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input of the model.

    `hard` is the range outside of which a value cannot be true (quarantine), `usual` the one outside of which it is
    rare (an alert's business, never a reason to refuse). `codes` names the values of a categorical feature; no other
    value is valid then. Missing is null on the wire; `zero_is_missing` marks columns whose source files write 0 for it.
    `steady` is by how much one patient's values may differ; None where they may change at all.
    """

    name: str
    title: str
    unit: str
    hard: tuple[float, float]
    usual: tuple[float, float]
    codes: dict[str, str] | None = None
    zero_is_missing: bool = False
    steady: float | None = None

    def __post_init__(self) -> None:
        if not (self.name.isidentifier() and self.name.islower()):
            raise ValueError(f"feature name: expected a lower-case identifier, got {self.name!r}")
        low, high = self.hard
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"feature {self.name}: expected a hard range of two finite numbers, low first")
        if not low <= self.usual[0] <= self.usual[1] <= high:
            raise ValueError(f"feature {self.name}: expected the usual range inside the hard range")
        for code in self.codes or ():
            if not code.isdecimal() or not low <= int(code) <= high or low != int(low):
                raise ValueError(f"feature {self.name}: expected codes of digits inside a hard range of whole numbers")


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Values that cannot be true together, though each may be: the sum of `weights` times values is at most `most`."""

    title: str
    weights: dict[str, float]
    most: float


class FeatureTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The features of a model, in the order of its input columns, and how many of them a judgement needs.

    `limits` and `needs` say what contradicts itself (an alert's business, never a reason to refuse): a value that is
    there needs the one that `needs` names for it, a finding its examination.
    """

    name: str
    version: int
    features: tuple[Feature, ...]
    max_missing: int  # more missing values than this: "insufficient_data", not a guess
    limits: tuple[Limit, ...] = ()
    needs: dict[str, str] = {}

    def __post_init__(self) -> None:
        names = self.names
        if not names or len(set(names)) != len(names):
            raise ValueError("feature table: expected at least one feature, each name once")
        if not 0 <= self.max_missing < len(names):
            raise ValueError(f"feature table: expected max_missing from 0 to {len(names) - 1}, got {self.max_missing}")
        named = {*self.needs, *self.needs.values(), *(name for limit in self.limits for name in limit.weights)}
        if unknown := named - set(names):
            raise ValueError(f"feature table: expected limits and needs of its features, got {min(unknown)}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)


class RangeCheck:
    """Finds values outside their hard range or code list, over a whole batch at once.

    >>> from contracts.heart_disease import HEART_DISEASE
    >>> row = np.full((1, 13), np.nan); row[0, 0] = 400
    >>> RangeCheck(HEART_DISEASE)(row)
    {0: 'age'}
    """

    def __init__(self, table: FeatureTable) -> None:
        self._names = table.names
        self._low = np.array([feature.hard[0] for feature in table.features])
        self._high = np.array([feature.hard[1] for feature in table.features])
        categorical = [column for column, feature in enumerate(table.features) if feature.codes]
        self._categorical = np.array(categorical, dtype=np.intp)
        self._base = self._low[categorical]
        self._fallback = np.array([min(map(float, table.features[column].codes or ())) for column in categorical])
        width = int((self._high - self._low)[categorical].max(initial=0)) + 1
        self._valid = np.zeros((len(categorical), width), dtype=np.bool_)  # by column and code
        for place, column in enumerate(categorical):
            for code in table.features[column].codes or ():
                self._valid[place, int(code) - int(self._low[column])] = True

    def __call__(self, values: npt.NDArray[np.float64]) -> dict[int, str]:
        """Return {row: name of its first bad feature}; `values` has shape (n, features) float64, NaN where missing."""
        bad = (values < self._low) | (values > self._high)
        present = values[:, self._categorical]
        codes = np.where(np.isnan(present), self._fallback, present) - self._base
        index = np.clip(codes, 0, self._valid.shape[1] - 1).astype(np.intp)
        bad[:, self._categorical] |= (index != codes) | ~self._valid[np.arange(len(self._categorical)), index]
        if not bad.any():
            return {}
        rows = np.flatnonzero(bad.any(axis=1))
        return {int(row): self._names[int(bad[row].argmax())] for row in rows}


def to_row(table: FeatureTable, features: dict[str, float | None]) -> Sequence[float]:
    """Return one event's features in column order, NaN where missing."""
    values = (features[name] for name in table.names)
    return [math.nan if value is None else float(value) for value in values]
