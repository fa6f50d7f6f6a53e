"""What people do about incidents: signed acts on incident-acts, and the states that they lead through.

Only the forms; models/acts.py checks signatures. Times are UTC epoch milliseconds.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from contracts.times import Time

ACT_TYPE = "application/vnd.cardiosentry.incident-act.v1+json"

Act = Literal["acknowledge", "assign", "note", "close", "reopen"]
State = Literal["open", "acknowledged", "closed"]
Verdict = Literal["true-positive", "false-positive", "benign", "undetermined"]
"""What an incident turned out to be; benign: it is as told, and no harm."""

NEXT: Mapping[State, Mapping[Act, State]] = {
    "open": {"acknowledge": "acknowledged", "assign": "acknowledged", "note": "open", "close": "closed"},
    "acknowledged": {"assign": "acknowledged", "note": "acknowledged", "close": "closed"},
    "closed": {"note": "closed", "reopen": "open"},
}
"""Which act leads where; an act that is not listed for a state does nothing there."""

NAME_CHARS, NOTE_CHARS = 100, 2000

IncidentId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{12}$")]


class IncidentAct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A person did something about an incident: `to` is whom it was assigned to, `verdict` goes with a close alone."""

    incident: IncidentId
    act: Act
    to: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)] = ""
    verdict: Verdict | None = None
    note: Annotated[str, msgspec.Meta(max_length=NOTE_CHARS)] = ""
    created_at: Time

    def __post_init__(self) -> None:
        for wanted, got, what in (
            (self.act == "assign", bool(self.to), "to"),
            (self.act == "close", self.verdict is not None, "verdict"),
        ):
            if wanted != got:
                raise ValueError(f"{self.act}: expected {'a' if wanted else 'no'} {what!r}")
        if self.act == "note" and not self.note:
            raise ValueError("note: expected a text")
