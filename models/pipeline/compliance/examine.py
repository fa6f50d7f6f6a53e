"""One look over a snapshot: every hit of every rule."""

import numpy as np
import pandas as pd

from contracts.features import FeatureTable
from models.pipeline.compliance.columns import of_rule, undeclared_hits
from models.pipeline.compliance.hits import Column, Hit
from models.pipeline.compliance.identifiers import identifier_hits
from models.pipeline.compliance.policy import CompliancePolicy
from models.pipeline.compliance.quality import numbers, quality_hits
from models.pipeline.compliance.rules import load_rules
from models.pipeline.compliance.text import scan, words

_MIN_DIGITS = 6  # of a number that may be more than a measurement
_MAX_NUMBERS = 1_000  # distinct numbers that are read as text, of a column that goes anyway


def examine(frame: pd.DataFrame, policy: CompliancePolicy, table: FeatureTable) -> list[Hit]:
    """Return everything that the rules find in `frame`; its columns have unique names."""
    hits = [*quality_hits(frame, policy, table), *identifier_hits(frame, policy)]
    for place, name in enumerate(frame.columns):
        column = frame[name]
        kind = policy.columns.get(name)
        if kind is None:
            hits += undeclared_hits(column, place)
        if kind not in ("row", "patient", "week", "year"):  # identifier_hits says what is none of these
            hits += _text_hits(column, place, policy, declared=kind is not None)
    return hits


def _text_hits(column: Column, place: int, policy: CompliancePolicy, *, declared: bool) -> list[Hit]:
    """Return what patterns find in a column's text; a number of a declared column is a number and not read."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return []
    texts = column[column.notna() & np.isnan(numbers(column))] if declared else column.dropna()
    if pd.api.types.is_numeric_dtype(column):
        if declared:
            return []
        whole = texts[(texts.abs() >= 10 ** (_MIN_DIGITS - 1)) & (texts % 1 == 0)]
        texts = whole[whole.isin(whole.drop_duplicates().head(_MAX_NUMBERS))].astype("int64")
    codes, distinct = pd.factorize(texts.map(str))
    heading = words(str(column.name))
    found: dict[str, list[int]] = {}
    for code, text in enumerate(distinct):
        if len(text) <= policy.max_text_chars:
            for rule in {span.rule.id for span in scan(text, heading, policy.regions)}:
                found.setdefault(rule, []).append(code)
    rules = load_rules()
    positions = np.flatnonzero(column.index.isin(texts.index))
    hits = []
    for rule, those in found.items():
        rows = positions[np.isin(codes, those)]
        hit = Hit(rule, rules[rule].category, rules[rule].title, place, rows, rules[rule].remedy)
        hits.append(hit if declared else of_rule(rules[rule], place, rows))
    return hits
