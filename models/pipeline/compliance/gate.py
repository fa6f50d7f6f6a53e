"""Gate 1, compliance: look, put right, look again. Whatever is then left fails the snapshot."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from contracts.features import FeatureTable
from contracts.heart_disease import HEART_DISEASE
from models.pipeline.check import Check, Finding, Report
from models.pipeline.compliance.examine import examine
from models.pipeline.compliance.hits import Hit, Rows
from models.pipeline.compliance.policy import CompliancePolicy
from models.pipeline.compliance.remedies import apply, removed_columns, seal_confidential
from models.pipeline.compliance.small_cells import small_cells

_PASSES = 2  # two ages over 89 are one after the first: rows may have become the same
_PLACES = 3
_BAND_YEARS = 10

# name, reference, advice
CATEGORIES: dict[str, tuple[str, str, str]] = {
    "pii": ("personal identifiers", "GDPR Art. 4(1)", "Find the producer that lets them through; they end there."),
    "sensitive": ("sensitive personal data", "GDPR Art. 5(1)(c), 10", "Drop them where the snapshot is made."),
    "confidential": ("business confidential", "Directive (EU) 2016/943, Art. 2(1)", "Ask the owner; change a secret."),
    "restricted": ("legally restricted", "45 CFR 164.514(b)(2)", "Generalise where the snapshot is made."),
    "offensive": ("offensive content", "NIST AI 600-1, 2024", "Tell whoever answers for the source."),
    "quality": ("quality", "GDPR Art. 5(1)(d); EU AI Act Art. 10(3)", "Look at the source's mapping and codes."),
    "special": ("special categories", "GDPR Art. 9(1)", "Without a ground of Art. 9(2), drop them at the source."),
    "undeclared": (
        "purpose",
        "GDPR Art. 5(1)(b, c); 45 CFR 164.502(b)",
        "Declare the column with what it is for, or leave it out of the snapshot.",
    ),
}


@dataclass(frozen=True)
class Complied:
    """What came of the gate.

    `frame` is the cleaned snapshot, None unless the report passed: nothing can go on with what failed. `sealed` holds
    confidential columns for the reviewers (see `seal_confidential`), None where there was none or nobody to seal for.
    """

    report: Report
    frame: pd.DataFrame | None
    sealed: bytes | None


def comply(
    snapshot: pd.DataFrame,
    policy: CompliancePolicy,
    table: FeatureTable = HEART_DISEASE,
    reviewers: X25519PublicKey | None = None,
) -> Complied:
    """Check a snapshot against `policy` and return it without what must not be in it.

    It is looked at, every remedy is applied, twice if need be, and the result is looked at again: a category passes if
    nothing of it was there, or if the policy remedies it, and nothing is left. `table` says what a measurement may be.
    Reports name rules, columns and rows (from 1, as they stand in the snapshot), never a value; an undeclared column's
    name could be one (a file without its header), so that it is named by its position.
    """
    frame = snapshot.reset_index(drop=True).set_axis(_unique([str(name) for name in snapshot.columns]), axis="columns")
    for name in (name for name in frame.columns if pd.api.types.is_object_dtype(frame[name])):
        frame[name] = pd.Series([_known(cell) for cell in frame[name]], dtype=object)
    before = examine(frame, policy, table)
    cleaned, after = frame, before
    for _ in range(_PASSES if before else 0):
        cleaned = apply(cleaned, after, policy)
        after = examine(cleaned, policy, table)
        if not after:
            break
    checks = [_category(name, before, after, policy, frame) for name in CATEGORIES]
    checks.append(_dropped(len(frame), len(frame) - len(cleaned), policy.max_dropped))
    report = Report(step="compliance", checks=tuple(checks), facts=_facts(frame, cleaned, before, policy))
    sealed = seal_confidential(frame, before, reviewers) if reviewers else None
    return Complied(report, cleaned if report.passed else None, sealed)


def _known(cell: object) -> object:
    """Return a cell as it is where it is of a type that a table holds, else as text: a list is no measurement."""
    if isinstance(cell, str):  # half of a surrogate pair cannot be written anywhere; it shows as garbled then
        return cell.encode(errors="surrogatepass").decode(errors="replace")
    plain = bool | int | float | np.number | date | bytes | type(None) | type(pd.NA) | type(pd.NaT)
    return cell if isinstance(cell, plain) else str(cell)


def _unique(names: list[str]) -> list[str]:
    """Return the names, those that repeat an earlier one changed: the second one is a column that nobody declared."""
    return [name if name not in names[:place] else f"{name} #{place + 1}" for place, name in enumerate(names)]


def _category(name: str, before: list[Hit], after: list[Hit], policy: CompliancePolicy, frame: pd.DataFrame) -> Check:
    title, reference, advice = CATEGORIES[name]
    action = getattr(policy.actions, name)
    found = [hit for hit in before if hit.category == name]
    left = [hit for hit in after if hit.category == name]
    passed = not left and (not found or action == "remedy")
    text = (
        "nothing"
        if not found and not left
        else f"{_count(found)}; after remedies: {_count(left) if left else 'nothing'}"
    )
    return Check(
        name=title,
        verdict="pass" if passed else "fail",
        found=text,
        limit="nothing left after remedies" if action == "remedy" else "nothing",
        advice="" if passed else advice,
        reference=reference,
        findings=tuple(_findings(found, policy, frame)),
    )


def _count(hits: list[Hit]) -> str:
    cells = sum(len(hit.rows) for hit in hits)
    kinds = len({hit.rule for hit in hits})
    return f"{cells} {'place' if cells == 1 else 'places'} of {kinds} {'kind' if kinds == 1 else 'kinds'}"


def _findings(hits: list[Hit], policy: CompliancePolicy, frame: pd.DataFrame) -> Iterator[Finding]:
    for hit in hits:
        where = _rows(hit.rows)
        if hit.column is not None:
            name = frame.columns[hit.column]
            column = f"column {name}" if name in policy.columns else f"column {hit.column + 1} (undeclared)"
            where = f"{column}, {where}"
        yield Finding(id=hit.rule, where=where, what=f"{len(hit.rows)} x {hit.title}; remedy: {hit.remedy}")


def _rows(rows: Rows) -> str:
    if not len(rows):
        return "no row"
    named = ", ".join(str(row + 1) for row in rows[:_PLACES])
    more = f" and {len(rows) - _PLACES} more" if len(rows) > _PLACES else ""
    return f"row{'s' if len(rows) > 1 else ''} {named}{more}"


def _dropped(rows: int, dropped: int, limit: float) -> Check:
    share = dropped / rows if rows else 1.0
    return Check(
        name="rows kept",
        verdict="pass" if rows > dropped and share <= limit else "fail",
        found=f"{dropped} of {rows} rows dropped ({share:.1%})",
        limit=f"at most {limit:.1%}, and one row left",
        advice=""
        if rows > dropped and share <= limit
        else "The source is broken, or somebody wants rows out: look first.",
        reference="EU AI Act Art. 10(3)",
    )


def _facts(
    frame: pd.DataFrame, cleaned: pd.DataFrame, hits: list[Hit], policy: CompliancePolicy
) -> dict[str, str | int | float | None]:
    known = [name for name in policy.quasi_identifiers if name in cleaned]
    facts: dict[str, str | int | float | None] = {
        "purpose": policy.purpose,
        "rows": len(frame),
        "rows_after": len(cleaned),
        "columns": len(frame.columns),
        "columns_removed": len(removed_columns(hits)),
        "quasi_identifiers": ", ".join(known),
        **small_cells(cleaned, known, policy.small_cell),
    }
    if policy.age in known:
        banded = cleaned.assign(**{policy.age: cleaned[policy.age] // _BAND_YEARS})
        cells = small_cells(banded, known, policy.small_cell)
        facts |= {f"{name}_age_by_{_BAND_YEARS}_years": value for name, value in cells.items()}
    return facts
