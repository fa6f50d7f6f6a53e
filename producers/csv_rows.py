"""Rows of a CSV file as patients, by a column mapping.

Messages name file, line and column and never repeat a cell: a cell may be a name that slipped into the wrong column.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from contracts.errors import UserError
from contracts.features import Feature, FeatureTable
from contracts.identifiers import MAX_RECORD_NUMBER_CHARS
from producers.mapping import CsvMapping

if TYPE_CHECKING:
    import _csv  # the type of csv.reader(...), which has no public name

Value = float | int | None


class Row(msgspec.Struct, gc=False, frozen=True):
    """One patient of a file. `features` are in the table's order; `observed_at` is in epoch milliseconds."""

    record_number: str
    source: str
    features: tuple[Value, ...]
    diagnosis: int | None
    observed_at: int | None


class _UnusableError(Exception):
    """A cell that is not what its column should hold; the text says what was expected and what kind of thing came."""


def read_rows(path: Path, mapping: CsvMapping, table: FeatureTable) -> Iterator[Row]:
    """Yield the rows of `path` one by one; raises `UserError` that names the file, the line and the column."""
    try:
        # utf-8-sig: spreadsheets put a byte order mark before the first column's name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(path, csv.reader(file, delimiter=mapping.delimiter, strict=True), mapping, table)
    except OSError as error:
        raise UserError(f"{path}: expected a CSV file that can be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected UTF-8; save the file in that encoding") from None


def _rows(path: Path, reader: "_csv.Reader", mapping: CsvMapping, table: FeatureTable) -> Iterator[Row]:
    column = ""
    try:
        header = next(reader, None)
        if not header:
            raise UserError(f"{path}: expected a line of column names, got an empty one")
        index = _columns(path, header, mapping)
        cells = _cell_readers(mapping, table)
        for row in reader:
            if not row:
                continue  # a blank line, as many programs leave at the end
            if len(row) != len(header):
                raise UserError(f"{path}, line {reader.line_num}: expected {len(header)} cells, got {len(row)}")
            found: dict[str, Value | str] = {}
            for field, (column, read) in cells.items():
                found[field] = read(row[index[column]].strip())
            yield _row(found, mapping, table)
    except _UnusableError as error:
        raise UserError(f"{path}, line {reader.line_num}, column {column!r}: {error}") from None
    except csv.Error:
        raise UserError(f"{path}, line {reader.line_num}: expected CSV, got a broken quotation") from None


def _columns(path: Path, header: list[str], mapping: CsvMapping) -> dict[str, int]:
    names = [name.strip() for name in header]
    for column in mapping.columns:
        if names.count(column) != 1:
            raise UserError(f"{path}, line 1: expected column {column!r} once, got it {names.count(column)} times")
    return {column: names.index(column) for column in mapping.columns}


def _row(found: dict[str, Value | str], mapping: CsvMapping, table: FeatureTable) -> Row:
    return msgspec.convert(
        {
            "record_number": found["record_number"],
            "source": found.get("source", mapping.source.constant),
            "features": [found.get(f"features.{name}") for name in table.names],
            "diagnosis": found.get("diagnosis"),
            "observed_at": found.get("observed_at"),
        },
        Row,
    )


_CellReader = Callable[[str], Value | str]


def _cell_readers(mapping: CsvMapping, table: FeatureTable) -> dict[str, tuple[str, _CellReader]]:
    """Return how each field of a row is read: its column and a function of the cell that raises `_UnusableError`."""
    cells: dict[str, tuple[str, _CellReader]] = {"record_number": (mapping.record_number, _record_number(mapping))}
    if mapping.source.column is not None:
        cells["source"] = (mapping.source.column, _label(mapping.source.labels))
    if mapping.outcome is not None:
        cells["diagnosis"] = (mapping.outcome.column, _diagnosis(mapping.outcome.positive_from, mapping.missing))
    if mapping.observed_at is not None:
        cells["observed_at"] = (mapping.observed_at, _time)
    for feature in table.features:
        if feature.name in mapping.features:
            column = mapping.features[feature.name]
            cells[f"features.{feature.name}"] = (column.column, _feature(feature, column.codes, mapping.missing))
    return cells


def _feature(feature: Feature, codes: dict[str, float] | None, missing: tuple[str, ...]) -> _CellReader:
    read: _CellReader = _number if codes is None else _label({label: _plain(code) for label, code in codes.items()})

    def value(cell: str) -> Value | str:
        found = None if cell in missing else read(cell)
        return None if found == 0 and feature.zero_is_missing else found

    return value


def _label(labels: Mapping[str, Value | str]) -> _CellReader:
    def value(cell: str) -> Value | str:
        if cell not in labels:
            raise _UnusableError(f"expected one of the labels {', '.join(map(repr, labels))}; got {_kind(cell)}")
        return labels[cell]

    return value


def _record_number(mapping: CsvMapping) -> _CellReader:
    def value(cell: str) -> str:
        if not cell or len(mapping.record_prefix) + len(cell) > MAX_RECORD_NUMBER_CHARS:
            raise _UnusableError(f"expected 1 to {MAX_RECORD_NUMBER_CHARS} characters, got {_kind(cell)}")
        return mapping.record_prefix + cell

    return value


def _diagnosis(positive_from: float, missing: tuple[str, ...]) -> _CellReader:
    return lambda cell: None if cell in missing else int(_number(cell) >= positive_from)


def _time(cell: str) -> int:
    if cell.isascii() and cell.isdigit() and len(cell) <= 15:
        return int(cell)
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        raise _UnusableError(f"expected ISO 8601 or epoch milliseconds, got {_kind(cell)}") from None
    if at.tzinfo is None:
        raise _UnusableError("expected a time with an offset, such as +01:00 or Z, got one without")
    return round(at.timestamp() * 1000)


def _number(cell: str) -> float | int:
    try:
        value = float(cell)
    except ValueError:
        raise _UnusableError(f"expected a number, got {_kind(cell)}") from None
    if not math.isfinite(value):
        raise _UnusableError("expected a finite number, got NaN or an infinity")
    return _plain(value)


def _plain(value: float) -> float | int:
    """Return 63 for 63.0, the form that people and other programs write."""
    return int(value) if value.is_integer() else value


def _kind(cell: str) -> str:
    return f"text of {len(cell)} characters" if cell else "an empty cell"
