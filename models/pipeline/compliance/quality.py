"""Low quality: corrupt cells, rows that repeat, rows with too little in them."""

import unicodedata
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from ftfy import fix_text
from ftfy.badness import is_bad

from contracts.features import FeatureTable
from models.pipeline.compliance.hits import Column, Hit, Remedy
from models.pipeline.compliance.policy import CompliancePolicy

_Mask = npt.NDArray[np.bool_]


def numbers(column: Column) -> npt.NDArray[np.float64]:
    """Return a column as numbers, NaN where a cell is missing or none; shape (rows,)."""
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def is_garbled(text: str) -> bool:
    """Whether `text` was decoded wrongly or holds control characters.

    >>> is_garbled("ZÃ¼rich"), is_garbled("Zürich")
    (True, False)
    """
    control = any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r" for letter in text)
    return control or "\ufffd" in text or is_bad(text)


def repaired(text: str) -> str | None:
    """Return what `text` most likely was before it was decoded wrongly, None where it stays garbled.

    >>> repaired("ZÃ¼rich")
    'Zürich'
    """
    fixed = "".join(letter for letter in fix_text(text) if unicodedata.category(letter) != "Cc" or letter in "\t\n")
    return None if is_garbled(fixed) else fixed


def quality_hits(frame: pd.DataFrame, policy: CompliancePolicy, table: FeatureTable) -> Iterator[Hit]:
    """Yield what is wrong with the declared columns of `frame` as data; `table` says what a measurement may be."""

    def hit(rule: str, title: str, column: str | None, bad: _Mask, remedy: Remedy = "drop rows") -> Iterator[Hit]:
        rows = np.flatnonzero(bad)
        if len(rows):
            place = None if column is None else names.index(column)
            yield Hit(rule, "quality", title, place, rows, remedy)

    names = list(frame.columns)
    for column in policy.columns:
        if column not in names:
            yield Hit("missing-column", "quality", f"no column {column}", None, np.arange(0), "none")
    for column in (name for name in policy.of_kind("measurement", "outcome") if name in names):
        values = numbers(frame[column])
        yield from hit(
            "not-a-number", "something else than a number", column, np.isnan(values) & frame[column].notna().to_numpy()
        )
        if column in policy.of_kind("outcome"):
            yield from hit("no-outcome", "neither 0 nor 1", column, ~np.isin(values, (0, 1)))
        else:
            yield from hit("out-of-range", "a value that cannot be", column, _impossible(values, column, table))
    for column in (name for name in policy.of_kind("row", "site", "patient") if name in names):
        yield from hit("no-value", "nothing, and needs a value", column, frame[column].isna().to_numpy())
    for column in (name for name in policy.of_kind("site", "text") if name in names):
        texts = frame[column].where(frame[column].map(lambda cell: isinstance(cell, str)).astype(bool), None)
        other = (texts.isna() & frame[column].notna()).to_numpy(dtype=bool)
        yield from hit("not-a-text", "something else than a text", column, other)
        overlong = texts.str.len().gt(policy.max_text_chars).fillna(value=False).to_numpy(dtype=bool)
        yield from hit("overlong-text", f"more than {policy.max_text_chars} characters", column, overlong, "empty")
        read = texts.mask(overlong)
        garbled = read.isin([text for text in read.dropna().unique() if is_garbled(text)]).to_numpy()
        yield from hit("garbled-text", "garbled text", column, garbled, "repair")
    yield from _whole_rows(frame, policy)


def _impossible(values: npt.NDArray[np.float64], column: str, table: FeatureTable) -> _Mask:
    feature = next((feature for feature in table.features if feature.name == column), None)
    bad: _Mask = np.isinf(values)
    if feature is None:
        return bad
    bad = bad | (values < feature.hard[0]) | (values > feature.hard[1])
    if feature.codes:
        bad = bad | ~(np.isnan(values) | np.isin(values, [float(code) for code in feature.codes]))
    return bad


def _whole_rows(frame: pd.DataFrame, policy: CompliancePolicy) -> Iterator[Hit]:
    measured = [name for name in policy.of_kind("measurement") if name in frame]
    missing = frame[measured].isna().to_numpy().sum(axis=1)
    if len(rows := np.flatnonzero(missing > policy.max_missing)):
        yield Hit("too-few-values", "quality", "too few measurements", None, rows, "drop rows")
    ids = [name for name in policy.of_kind("row") if name in frame]
    content = [name for name in policy.columns if name in frame and name not in ids]
    numeric = policy.of_kind("measurement", "outcome")
    plain = pd.DataFrame({name: numbers(frame[name]) if name in numeric else frame[name].map(str) for name in content})
    repeats = pd.util.hash_pandas_object(plain, index=False).duplicated().to_numpy()
    if len(rows := np.flatnonzero(repeats)):
        yield Hit("repeated-row", "quality", "the same as an earlier row", None, rows, "drop rows")
    for column in ids:
        # Rows that repeat go anyway; of two others with one id nobody knows which is right.
        others = frame[column].mask(repeats).dropna()
        contested = np.flatnonzero(others.duplicated(keep=False).reindex(frame.index, fill_value=False).to_numpy())
        if len(contested):
            place = list(frame.columns).index(column)
            yield Hit("contested-id", "quality", "the id of another row", place, contested, "drop rows")
