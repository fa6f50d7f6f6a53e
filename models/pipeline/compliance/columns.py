"""Columns that nobody declared: what their headings, types and the shapes of their values say."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from models.pipeline.compliance.hits import Column, Hit, Rows
from models.pipeline.compliance.rules import Rule, load_rules
from models.pipeline.compliance.text import words

_PERSON = re.compile(
    r"[A-ZÀ-ÖØ-Þ][\w'\u2019-]+(?:,? (?:[A-ZÀ-ÖØ-Þ]\.|(?:van|von|de|di|da|del|la|le) )?[A-ZÀ-ÖØ-Þ][\w'\u2019-]+){1,3}"
)
_MOSTLY = 0.8
_FEW = 20  # fewer rows than this are all different by chance


def undeclared_hits(column: Column, place: int) -> Iterator[Hit]:
    """Yield what a column that nobody declared seems to hold, by its heading and by what all its values have in common.

    `place` is its position. That it is undeclared is a hit too, of the category "undeclared".
    """
    present = np.flatnonzero(column.notna().to_numpy())
    yield Hit("undeclared-column", "undeclared", "a column that nobody declared", place, present, "remove column")
    for rule in _told(column, words(str(column.name))):
        yield of_rule(rule, place, present)


def of_rule(rule: Rule, place: int, rows: Rows) -> Hit:
    """Return the hit of a rule on a column that is to go."""
    return Hit(rule.id, rule.category, rule.title, place, rows, "remove column")


def _told(column: Column, heading: str) -> Iterator[Rule]:
    rules = load_rules()
    told = (
        {rule.id for rule in rules.values() if _longest(heading, rule) == _best(heading)} if _best(heading) else set()
    )
    if pd.api.types.is_datetime64_any_dtype(column):
        told.add("date")
    values = column.dropna()
    if values.map(lambda value: isinstance(value, bytes | bytearray)).any():
        told.add("picture")
    distinct = values.map(str).drop_duplicates()
    if len(distinct) >= 3 and len(distinct) > len(values) / 2:
        if distinct.str.fullmatch(_PERSON).mean() >= _MOSTLY:
            told.add("name-column")
        elif len(distinct) == len(values) >= _FEW and not pd.api.types.is_float_dtype(column) and _codes(distinct):
            told.add("unique-code")
    yield from (rules[rule] for rule in sorted(told))


def _codes(distinct: Column) -> bool:
    return bool((distinct.str.fullmatch(r"[\w/.-]{4,64}") & distinct.str.contains(r"\d")).mean() >= _MOSTLY)


def _longest(heading: str, rule: Rule) -> int:
    """Return how many letters of a heading a rule knows."""
    return max((len(known) for known in rule.headings if re.search(rf"\b{re.escape(known)}s?\b", heading)), default=0)


def _best(heading: str) -> int:
    """Return the most that any rule knows: "patient number" is a record's, not any number."""
    return max(_longest(heading, rule) for rule in load_rules().values())
