"""What is done about hits, each a function of the snapshot that gives a new one."""

import numpy as np
import pandas as pd
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from models.pipeline.compliance.hits import Column, Hit, Rows
from models.pipeline.compliance.identifiers import OLDEST_AGE, mondays, renumbered, years
from models.pipeline.compliance.policy import CompliancePolicy
from models.pipeline.compliance.quality import numbers, repaired
from models.pipeline.compliance.text import masked, scan, words

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
SEAL_INFO = b"cardiosentry compliance 1"


def apply(frame: pd.DataFrame, hits: list[Hit], policy: CompliancePolicy) -> pd.DataFrame:
    """Return a copy of `frame` with the remedy of every hit applied: cells first, then rows, then columns."""
    cleaned = frame.copy()
    for hit in hits:
        if hit.column is None:
            continue
        name = frame.columns[hit.column]
        match hit.remedy:
            case "mask" | "empty":
                cleaned[name] = mask(cleaned[name], hit.rows, policy, whole=hit.remedy == "empty")
            case "to the week":
                cleaned[name] = mondays(cleaned[name])
            case "to the year":
                cleaned[name] = years(cleaned[name])
            case "to 90":
                cleaned[name] = np.minimum(numbers(cleaned[name]), OLDEST_AGE + 1)  # missing stays missing
            case "renumber":
                cleaned[name] = renumbered(cleaned[name])
            case "repair":
                cleaned[name] = repair(cleaned[name], hit.rows)
    dropped = [hit.rows for hit in hits if hit.remedy == "drop rows"]
    keep = np.ones(len(frame), dtype=bool)
    keep[np.concatenate(dropped) if dropped else []] = False
    cleaned = cleaned[keep].reset_index(drop=True)
    for name in (name for name in policy.of_kind("measurement", "outcome") if name in cleaned):
        if not pd.api.types.is_numeric_dtype(cleaned[name]):
            cleaned[name] = numbers(cleaned[name])
    return cleaned.drop(columns=[frame.columns[place] for place in sorted(removed_columns(hits))])


def removed_columns(hits: list[Hit]) -> set[int]:
    """Return the positions of the columns that go."""
    return {hit.column for hit in hits if hit.remedy == "remove column" and hit.column is not None}


def mask(column: Column, rows: Rows, policy: CompliancePolicy, *, whole: bool) -> Column:
    """Return a column with what patterns find in `rows` masked, or these cells emptied where `whole`."""
    heading = words(str(column.name))
    cells = column.astype(object).to_list()
    for row in rows:
        cell = cells[row]
        if isinstance(cell, str):  # an earlier remedy may have emptied it
            cells[row] = None if whole else masked(cell, scan(cell, heading, policy.regions))
    return pd.Series(cells, index=column.index, name=column.name, dtype=object)


def repair(column: Column, rows: Rows) -> Column:
    """Return a column with the garbled text in `rows` repaired, or emptied where that fails."""
    cells = column.astype(object).to_list()
    for row in rows:
        cell = cells[row]
        cells[row] = repaired(cell) if isinstance(cell, str) else None
    return pd.Series(cells, index=column.index, name=column.name, dtype=object)


def seal_confidential(frame: pd.DataFrame, hits: list[Hit], reviewers: X25519PublicKey) -> bytes | None:
    """Return the columns that go because they are business confidential, as CSV, sealed for the reviewers.

    By HPKE (RFC 9180) with `SEAL_INFO`, the index being the row's position. None where there are none. Whatever
    identifies a person is not kept, sealed or not.
    """
    leaving = {hit.column for hit in hits if hit.remedy == "remove column" and hit.category == "confidential"}
    personal = {hit.column for hit in hits if hit.category not in ("confidential", "undeclared", "quality")}
    names = [frame.columns[place] for place in sorted(place for place in leaving - personal if place is not None)]
    if not names:
        return None
    return _SUITE.encrypt(frame[names].to_csv().encode(), reviewers, SEAL_INFO)
