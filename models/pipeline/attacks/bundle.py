"""What a bundle gives away: training rows that stand in its manifest."""

import json
from typing import Any

import numpy as np

from contracts.features import FeatureTable
from models.pipeline.rows import Rows, row_contents

_LEAST_VALUES = 4  # fewer known values than this are many patients'


def rows_in_manifest(manifest: bytes, table: FeatureTable, rows: Rows) -> list[int]:
    """Return the positions of `rows` whose features stand in the manifest, whatever part of it.

    A list of as many values as the model has features is a row, as is an object with its features' names. It is found
    when every value agrees that the training row has, gaps with gaps; rows of fewer than four values say too little.
    """
    places: dict[bytes, list[int]] = {}
    for at, content in enumerate(row_contents(rows.x)):
        if np.isfinite(rows.x[at]).sum() >= _LEAST_VALUES:
            places.setdefault(content, []).append(at)
    candidates = list(_row_like(json.loads(manifest), table.names))
    if not candidates:
        return []
    found = row_contents(np.array(candidates, dtype=np.float64).astype(np.float32))
    return sorted({at for content in found for at in places.get(content, [])})


def _row_like(part: Any, names: tuple[str, ...]) -> list[list[float | None]]:
    """Return every list and object in the JSON that has a number or null for each feature."""
    found: list[list[float | None]] = []
    if isinstance(part, dict):
        if set(names) <= set(part) and all(_number(part[name]) for name in names):
            found.append([part[name] for name in names])
        for value in part.values():
            found += _row_like(value, names)
    elif isinstance(part, list):
        if len(part) == len(names) and all(map(_number, part)):
            found.append(part)
        for value in part:
            found += _row_like(value, names)
    return found


def _number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
