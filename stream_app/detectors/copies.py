"""Measurements that several patients have to the last digit: a stamp in the data, or one patient under many names.

How many patients had the same values is counted in a count-min sketch (Cormode and Muthukrishnan, Journal of Algorithms
55, 2005), a patient once: arrays of fixed size, whatever comes. When `_FORGET` pairs of patient and values were
counted, all counts are halved. Counting a record twice changes nothing, so an abort needs no undoing.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_Hashes = npt.NDArray[np.uint64]

COPIES = 5
"""Patients with the same values before an event is a copy. Two or three are chance: pressures end in 0."""

_LEAST_VALUES = 3  # fewer measurements than this agree by chance
_BITS = 17
_PAIR_BITS = 20
_FORGET = 1 << 16
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_MIX = np.uint64(0xC2B2AE3D27D4EB4F)  # a prime of xxHash


class CopyMemory:
    """Counts how many patients had the same measurements."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, 1 << _BITS), np.uint16)
        self._owner = np.full(1 << _PAIR_BITS, -1, np.int32)
        self._counted = 0

    def add(self, patients: list[int], values: Floats) -> list[int]:
        """Count events; return the positions of those whose values are copies.

        `patients` are hashes of 64 bits, `values` (n, measurements) float64, NaN where missing.
        """
        keys = _hashes(values)
        pairs = (_mixed(keys ^ np.array(patients, np.int64).view(np.uint64)) >> np.uint64(64 - _PAIR_BITS)).astype(
            np.intp
        )
        enough = np.isfinite(values).sum(axis=1) >= _LEAST_VALUES
        rows = np.flatnonzero(enough & (self._owner[pairs] < 0))
        self._owner[pairs[rows]] = rows
        rows = rows[self._owner[pairs[rows]] == rows]  # of a patient who comes twice in this batch, one
        slots = (keys >> np.uint64(64 - _BITS)).astype(np.intp), (keys & np.uint64((1 << _BITS) - 1)).astype(np.intp)
        for counts, at in zip(self._counts, slots, strict=True):
            np.add.at(counts, at[rows], 1)
        copied = enough & (np.minimum(self._counts[0][slots[0]], self._counts[1][slots[1]]) >= COPIES)
        self._counted += len(rows)
        if self._counted >= _FORGET:
            self._counts >>= 1
            self._owner.fill(-1)
            self._counted = 0
        return np.flatnonzero(copied).tolist()


def _hashes(values: Floats) -> _Hashes:
    """Return a hash of each row; missing values count as such."""
    bits = (np.where(np.isnan(values), -1e300, values) + 0.0).view(np.uint64)  # + 0.0: -0.0 is 0.0
    found = np.zeros(len(values), np.uint64)
    for column in bits.T:
        found = _mixed(found ^ column)
    return found


def _mixed(hashes: _Hashes) -> _Hashes:
    """Spread every bit over all (the finaliser of xxHash, shortened)."""
    mixed = hashes * _ODD
    mixed ^= mixed >> np.uint64(32)
    mixed *= _MIX
    mixed ^= mixed >> np.uint64(29)
    return mixed
