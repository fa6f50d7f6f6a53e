"""A CSV file as features, diagnoses and sites. Errors name file, line, column and what was expected, never a value.

Its header says which form it has: the UCI table's (models/dataset.py), or one column a feature by the name in the
feature table, `site` and `diagnosis` (0 or 1), in any order. Cells are numbers, empty where missing.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.errors import UserError
from contracts.features import FeatureTable, RangeCheck
from contracts.heart_disease import HEART_DISEASE
from models.dataset import COLUMNS, parse_dataset

_SITE, _DIAGNOSIS = "site", "diagnosis"
_SITE_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _./-]{0,63}")

Table = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], list[str]]
"""Features (n, features) with NaN where missing, diagnoses (n,) in 0, 1 and the n sites."""


def parse_csv(content: bytes, path: Path, table: FeatureTable) -> Table:
    """Return what a file holds; `path` is what errors call it. Raises `UserError`."""
    if all(name in _header(content) for name in COLUMNS) and table is HEART_DISEASE:
        data = parse_dataset(content, path)
        return data.x.astype(np.float64), data.y, data.site.tolist()
    return _parse(content, path, table)


def _header(content: bytes) -> Sequence[str]:
    line = content.split(b"\n", 1)[0].decode("utf-8-sig", "replace")
    try:
        return next(csv.reader([line.rstrip("\r")]), [])
    except csv.Error:
        return []  # of neither form, as the parser will say


def _parse(content: bytes, path: Path, table: FeatureTable) -> Table:
    """Read a file of a column a feature."""
    try:
        rows = _rows(io.StringIO(content.decode("utf-8-sig"), newline=""), path, (*table.names, _SITE, _DIAGNOSIS))
        values, diagnoses, sites, lines = [], [], [], []
        for line, row in rows:
            values.append([_number(row[name], name, path, line) for name in table.names])
            if row[_DIAGNOSIS].strip() not in ("0", "1"):
                raise UserError(f"{path}, line {line}, column {_DIAGNOSIS}: expected 0 (no disease) or 1")
            diagnoses.append(int(row[_DIAGNOSIS]))
            if not _SITE_FORM.fullmatch(row[_SITE].strip()):
                raise UserError(f"{path}, line {line}, column {_SITE}: expected a name of at most 64 plain characters")
            sites.append(row[_SITE].strip())
            lines.append(line)
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected UTF-8 text") from None
    except csv.Error:
        raise UserError(f"{path}: expected CSV, got a broken quotation or an endless cell") from None
    if not values:
        raise UserError(f"{path}: expected at least one record below the header")
    x = np.array(values, dtype=np.float64)
    for bad, name in RangeCheck(table)(x).items():
        low, high = next(feature.hard for feature in table.features if feature.name == name)
        raise UserError(
            f"{path}, line {lines[bad]}, column {name}: expected a value from {low:g} to {high:g}, or a code"
        )
    return x, np.array(diagnoses, dtype=np.int64), sites


def _rows(text: io.StringIO, path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(text, strict=True)
    header = list(reader.fieldnames or ())
    if sorted(header) != sorted(columns):
        raise UserError(f"{path}, line 1: expected the columns {', '.join(columns)}, each once and no others")
    for row in reader:
        if None in row or None in row.values():
            raise UserError(f"{path}, line {reader.line_num}: expected {len(header)} cells, as in the header")
        yield reader.line_num, row


def _number(text: str, column: str, path: Path, line: int) -> float:
    if not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if math.isfinite(value):
        return value
    raise UserError(f"{path}, line {line}, column {column}: expected a number, or nothing where it is missing")
