"""What compliance wants of a snapshot: its purpose, the columns that serve it, and what happens to what is found."""

from typing import Annotated, Literal

import msgspec

from contracts.heart_disease import HEART_DISEASE

Category = Literal["pii", "sensitive", "confidential", "restricted", "offensive", "quality", "special"]

Kind = Literal["measurement", "row", "patient", "site", "outcome", "week", "year", "text"]
"""What a declared column holds.

A "measurement" is a number of the feature table, "row" the id of a row, "patient" a pseudonym, "site" where the row
comes from, "outcome" 0 or 1, "week" and "year" a time of which the week's Monday or the year is kept, "text" free
text, which is read for patterns.
"""

Action = Literal["remedy", "refuse"]

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


def _columns() -> dict[str, Kind]:
    features: dict[str, Kind] = dict.fromkeys(HEART_DISEASE.names, "measurement")
    return {
        "row_id": "row",
        "site": "site",
        "observed_on": "week",
        "group": "patient",
        **features,
        "diagnosis": "outcome",
    }


class Actions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """By category: "remedy" takes out what was found and looks again, "refuse" fails the snapshot."""

    pii: Action = "refuse"
    sensitive: Action = "refuse"
    confidential: Action = "refuse"
    restricted: Action = "remedy"
    offensive: Action = "refuse"
    quality: Action = "remedy"
    special: Action = "refuse"
    undeclared: Action = "refuse"


class CompliancePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `compliance` of the pipeline's policy; policy/compliance.toml says what each field is for."""

    purpose: Annotated[str, msgspec.Meta(min_length=1)] = (
        "Estimate the probability of coronary disease in patients referred for its work-up"
    )
    columns: dict[str, Kind] = msgspec.field(default_factory=_columns)
    quasi_identifiers: tuple[str, ...] = ("age", "sex", "site")
    small_cell: _Count = 5
    age: str = "age"
    regions: tuple[Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")], ...] = ("US", "GB", "DE", "CH", "HU")
    max_missing: _Count = HEART_DISEASE.max_missing
    max_text_chars: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    max_dropped: _Share = 0.1
    actions: Actions = Actions()

    def of_kind(self, *kinds: Kind) -> tuple[str, ...]:
        """Return the declared columns of these kinds."""
        return tuple(name for name, kind in self.columns.items() if kind in kinds)
