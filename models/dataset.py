"""The UCI heart-disease records as numbers, in the column order of the feature table.

What is corrected on reading, and nothing else:

1. Labels become the original UCI codes.
2. A zero where the file writes 0 for "not measured" (`zero_is_missing`) is missing.
3. Record 304 says Cleveland but is the first record of UCI's Hungarian file (with it the sites have UCI's 303 and 294
   records): its site is Hungary.
4. A record that repeats an earlier one in every column but the id is marked in `repeated`. UCI does not say whether
   it is the same patient twice; training and evaluation use `distinct()`, so that no patient can be on both sides of
   a split.
"""

import csv
import hashlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.errors import UserError
from contracts.features import FeatureTable, Matrix, RangeCheck
from contracts.heart_disease import HEART_DISEASE

DATA_FILE = Path(__file__).with_name("heart_disease_uci.csv")
MAX_DATA_BYTES = 100 * 1024 * 1024  # a million records; more is not this file

_ID, _SITE, _DIAGNOSIS = "id", "dataset", "num"
COLUMNS = (_ID, _SITE, *HEART_DISEASE.names, _DIAGNOSIS)

_YES_NO = {"true": 1.0, "false": 0.0}
_LABELS: dict[str, dict[str, float]] = {
    "sex": {"female": 0.0, "male": 1.0},
    "cp": {"typical angina": 1.0, "atypical angina": 2.0, "non-anginal": 3.0, "asymptomatic": 4.0},
    "fbs": _YES_NO,
    "restecg": {"normal": 0.0, "st-t abnormality": 1.0, "lv hypertrophy": 2.0},
    "exang": _YES_NO,
    "slope": {"upsloping": 1.0, "flat": 2.0, "downsloping": 3.0},
    "thal": {"normal": 3.0, "fixed defect": 6.0, "reversable defect": 7.0},  # spelt as in the file
}
# (id, site, age, cholesterol) in the file -> the site it belongs to
_MISLABELLED_SITE = {("304", "Cleveland", "28", "132"): "Hungary"}


@dataclass(frozen=True)
class Dataset:
    """Records as arrays.

    `x` is (n, features) float32 with NaN where missing, `y` (n,) int64 with 1 for disease (a narrowing over 50%),
    `site` and `record_id` (n,) str, `repeated` (n,) bool; `sha256` (hex) is of the file that was read.
    """

    x: Matrix
    y: npt.NDArray[np.int64]
    site: npt.NDArray[np.str_]
    record_id: npt.NDArray[np.str_]
    repeated: npt.NDArray[np.bool_]
    sha256: str

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "Dataset":
        """Return the records at `rows`, a mask (n,) or indices."""
        return replace(
            self,
            x=self.x[rows],
            y=self.y[rows],
            site=self.site[rows],
            record_id=self.record_id[rows],
            repeated=self.repeated[rows],
        )

    def distinct(self) -> "Dataset":
        """Return the records without the ones that repeat an earlier one."""
        return self.take(~self.repeated)


def load_dataset(path: Path = DATA_FILE) -> Dataset:
    """Read a CSV file in the format of the UCI table, by default the table itself.

    Raises `UserError` that names file, line, column and what was expected. It never repeats a value: a message may
    end up in a log, and what is in the file is about patients.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DATA_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: expected a readable CSV file, got: {error.strerror}") from None
    if len(content) > MAX_DATA_BYTES:
        raise UserError(f"{path}: expected at most {MAX_DATA_BYTES} bytes, got more")
    return parse_dataset(content, path)


def parse_dataset(content: bytes, path: Path) -> Dataset:
    """Return the records of a file's bytes, as `load_dataset` does; `path` is what errors call it."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: expected UTF-8 text") from None
    return _parse(text, path, hashlib.sha256(content).hexdigest())


def _parse(text: str, path: Path, sha256: str) -> Dataset:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    values: list[list[float]] = []
    diagnoses: list[int] = []
    sites: list[str] = []
    ids: list[str] = []
    lines: list[int] = []
    repeated: list[bool] = []
    seen: set[tuple[str, ...]] = set()
    try:
        header = reader.fieldnames or ()
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise UserError(f"{path}, line 1: expected a header with the columns {', '.join(missing)}")
        for row in reader:
            line = reader.line_num
            if None in row or None in row.values():
                raise UserError(f"{path}, line {line}: expected {len(header)} columns, as in the header")
            site = _MISLABELLED_SITE.get((row[_ID], row[_SITE], row["age"], row["chol"]), row[_SITE])
            if not site.strip():
                raise UserError(f"{path}, line {line}, column {_SITE}: expected the name of a site")
            values.append([_value(row[name], name, path, line) for name in HEART_DISEASE.names])
            diagnoses.append(_diagnosis(row[_DIAGNOSIS], path, line))
            sites.append(site)
            ids.append(row[_ID])
            lines.append(line)
            content = (site, row[_DIAGNOSIS], *(row[name] for name in HEART_DISEASE.names))
            repeated.append(content in seen)
            seen.add(content)
    except csv.Error as error:
        raise UserError(f"{path}, after line {reader.line_num}: expected CSV, got: {error}") from None
    if not values:
        raise UserError(f"{path}: expected at least one record below the header")
    matrix = np.array(values, dtype=np.float64)
    _mark_disguised_zeros(matrix, HEART_DISEASE)
    for bad_row, name in RangeCheck(HEART_DISEASE)(matrix).items():
        low, high = next(feature.hard for feature in HEART_DISEASE.features if feature.name == name)
        raise UserError(f"{path}, line {lines[bad_row]}, column {name}: expected a value from {low:g} to {high:g}")
    return Dataset(
        x=matrix.astype(np.float32),
        y=(np.array(diagnoses) > 0).astype(np.int64),
        site=np.array(sites),
        record_id=np.array(ids),
        repeated=np.array(repeated),
        sha256=sha256,
    )


def _mark_disguised_zeros(matrix: npt.NDArray[np.float64], table: FeatureTable) -> None:
    for column, feature in enumerate(table.features):
        if feature.zero_is_missing:
            matrix[matrix[:, column] == 0, column] = math.nan


def _value(text: str, column: str, path: Path, line: int) -> float:
    """Return a cell as a number, NaN where it is empty."""
    stripped = text.strip()
    if not stripped:
        return math.nan
    labels = _LABELS.get(column)
    parse: Callable[[str], float] = float if labels is None else (lambda label: labels[label.lower()])
    try:
        value = parse(stripped)
    except (ValueError, KeyError):
        value = math.inf
    if math.isfinite(value):
        return value
    expected = "a number" if labels is None else f"one of {', '.join(labels)}"
    raise UserError(f"{path}, line {line}, column {column}: expected {expected}, or nothing where it is missing")


def _diagnosis(text: str, path: Path, line: int) -> int:
    if text.strip() not in {"0", "1", "2", "3", "4"}:
        raise UserError(f"{path}, line {line}, column {_DIAGNOSIS}: expected 0 (no disease) or 1 to 4")
    return int(text)
