"""Row ids, pseudonyms, dates and ages in the columns that are declared as such."""

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from contracts.identifiers import EVENT_ID, PATIENT_ID
from models.pipeline.compliance.hits import Column, Hit, Remedy
from models.pipeline.compliance.policy import CompliancePolicy
from models.pipeline.compliance.quality import numbers
from models.pipeline.compliance.rules import load_rules

OLDEST_AGE = 89
"""Ages above it become `OLDEST_AGE + 1`: 45 CFR 164.514(b)(2)(i)(C)."""

_RUNNING = 10_000  # a number below this, or below ten times the rows, is a running number rather than a record's
_HASH = "[0-9a-f]{32}(?:[0-9a-f]{32})?"
_MADE = {"row": re.compile(f"{EVENT_ID}|{PATIENT_ID}|{_HASH}"), "patient": re.compile(f"{PATIENT_ID}|{_HASH}")}
_YEARS = (1900, 2100)
_EPOCH_MS = 1e11  # March 1973; what is smaller and no year is no time that we know


def identifier_hits(frame: pd.DataFrame, policy: CompliancePolicy) -> Iterator[Hit]:
    """Yield identifiers that nobody made for the purpose, dates that are too fine, and ages over 89."""
    rules = load_rules()

    def hit(rule: str, column: str, bad: npt.NDArray[np.bool_], remedy: Remedy) -> Iterator[Hit]:
        if len(rows := np.flatnonzero(bad)):
            place = list(frame.columns).index(column)
            yield Hit(rule, rules[rule].category, rules[rule].title, place, rows, remedy)

    for column in (name for name in policy.of_kind("row", "patient") if name in frame):
        made = _is_made(frame[column], policy.columns[column])
        yield from hit("raw-identifier", column, frame[column].notna().to_numpy() & ~made, "renumber")
    for column in (name for name in policy.of_kind("week", "year") if name in frame):
        week = policy.columns[column] == "week"
        kept = _is_monday(frame[column]) if week else _is_year(frame[column])
        finer = frame[column].notna().to_numpy() & ~kept
        yield from hit("date", column, finer, "to the week" if week else "to the year")
    if policy.age in frame and policy.age in policy.columns:
        yield from hit("age-over-89", policy.age, _is_told(numbers(frame[policy.age])), "to 90")


def _is_told(ages: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return where an age over 89 is told: 90 is the one category of all of them."""
    return np.asarray((ages > OLDEST_AGE) & (ages != OLDEST_AGE + 1))


def _is_made(column: Column, kind: str) -> npt.NDArray[np.bool_]:
    """Return where a cell is a pseudonym, a hash, a running number or, of a row, a random id; shape (rows,)."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return np.zeros(len(column), dtype=bool)
    values = numbers(column)
    running = (values >= 0) & (values < max(_RUNNING, 10 * len(column))) & (np.trunc(values) == values)
    made = column.map(str).str.fullmatch(_MADE[kind]).to_numpy(dtype=bool) | running
    return np.asarray(made, dtype=bool)


def renumbered(column: Column) -> Column:
    """Return a column with a running number in place of each distinct value, in the order of first appearance."""
    codes, _ = pd.factorize(column)
    return pd.Series(codes, index=column.index, name=column.name)


def times(column: Column) -> Column:
    """Return each cell as a time in UTC, NaT where it is none: a time, a date, epoch milliseconds or ISO 8601."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.to_datetime(column, utc=True)
    values = numbers(column)
    epoch = pd.Series(np.where(values >= _EPOCH_MS, values, np.nan), index=column.index)
    texts = column.where(np.isnan(values), None).map(str, na_action="ignore")
    of_texts = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
    return of_texts.fillna(pd.to_datetime(epoch, unit="ms", errors="coerce", utc=True))


def mondays(column: Column) -> Column:
    """Return the Monday of each cell's week as a `datetime.date`, None where it is no time."""
    days = times(column).dt.normalize()
    return (days - pd.to_timedelta(days.dt.day_of_week, unit="D")).dt.date.astype(object).mask(days.isna(), None)


def years(column: Column) -> Column:
    """Return the year of each cell (a time as for `times`, or a year), NaN where it is neither."""
    bare = pd.Series(np.where(_is_year(column), numbers(column), np.nan), index=column.index)
    return bare.where(bare.notna(), times(column).dt.year)


def _is_monday(column: Column) -> npt.NDArray[np.bool_]:
    moments = times(column)
    return np.asarray((moments.dt.day_of_week == 0) & (moments == moments.dt.normalize()), dtype=bool)


def _is_year(column: Column) -> npt.NDArray[np.bool_]:
    if pd.api.types.is_datetime64_any_dtype(column):
        return np.zeros(len(column), dtype=bool)
    values = numbers(column)
    return np.asarray((values >= _YEARS[0]) & (values <= _YEARS[1]) & (np.trunc(values) == values))
