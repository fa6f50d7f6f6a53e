"""The detection rules: data in rules.toml, checked when they are read."""

from importlib.resources import files
from typing import Annotated, Literal

import msgspec

from contracts.alerts import Rule, Severity
from contracts.detection import Signal


class CountRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fires when a signal came at least `count` times in a window and made up at least `share` of the records there."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+(-[a-z]+)*$")]
    name: str
    signal: Signal
    scope: Literal["source", "all"]
    count: Annotated[int, msgspec.Meta(ge=1)]
    window_s: Annotated[int, msgspec.Meta(ge=1, le=3600)]
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    severity: Severity
    technique: tuple[str, str] | None = None
    false_positives: str
    version: str = "1"

    @property
    def rule(self) -> Rule:
        """The rule as its alerts name it."""
        return Rule(self.id, self.name, self.version, f"docs/runbooks/{self.id}.md")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: tuple[CountRule, ...]


def load_rules() -> tuple[CountRule, ...]:
    """Return the rules that come with the program."""
    text = files(__package__).joinpath("rules.toml").read_bytes()
    return msgspec.toml.decode(text, type=_File).rule
