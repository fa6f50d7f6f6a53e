"""The detection rules: data in rules.toml, checked when they are read."""

from importlib.resources import files
from typing import Annotated, Literal

import msgspec

from contracts.alerts import Rule, Severity
from contracts.detection import Signal

DETECTORS = 3
"""Statistical detectors that share `false_alarm_days`: drift, quality, poisoned outcomes. Each has a third of the false
alarms, so its own are three times as far apart, and all together come as often as was set."""

_Count = Annotated[int, msgspec.Meta(ge=1)]


class DetectionRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every rule says of itself; `technique` is an id and name of MITRE ATLAS."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+(-[a-z]+)*$")]
    name: str
    severity: Severity
    technique: tuple[str, str] | None = None
    false_positives: str
    version: str = "1"

    @property
    def rule(self) -> Rule:
        """The rule as its alerts name it."""
        return Rule(self.id, self.name, self.version, f"docs/runbooks/{self.id}.md")


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many are too many: `count` in a window that make up at least `share` of the records there."""

    count: _Count
    window_s: Annotated[int, msgspec.Meta(ge=1, le=3600)]
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class CountRule(DetectionRule, frozen=True, kw_only=True):
    """Fires when a signal reaches one of its limits, of which the shorter window comes first."""

    signal: Signal
    scope: Literal["source", "all"]
    limits: Annotated[tuple[Limit, ...], msgspec.Meta(min_length=1, max_length=2)]


class ShareRule(DetectionRule, frozen=True, kw_only=True):
    """Fires when `signal` came `factor` times as often among `of` as it used to, rather than as often.

    That is e^`evidence` times as likely; a source is judged once `least` of `of` are known of it.
    """

    signal: Signal
    of: Signal
    factor: Annotated[float, msgspec.Meta(gt=1)]
    evidence: Annotated[float, msgspec.Meta(gt=0)]
    least: _Count


class LateRule(DetectionRule, frozen=True, kw_only=True):
    """Fires when `share` of a source's events are late while at most `others` of all others' are, for `minutes`.

    These are minutes that follow each other, with `count` late events in all, of a source that sent as many in time.
    """

    count: _Count
    minutes: _Count
    share: Annotated[float, msgspec.Meta(gt=0, le=1)]
    others: Annotated[float, msgspec.Meta(ge=0, lt=1)]


class FloodRule(DetectionRule, frozen=True, kw_only=True):
    """Fires when a source sends at least `factor` times its usual rate, and `least` events in a window."""

    factor: Annotated[float, msgspec.Meta(gt=1)]
    least: _Count


class SilenceRule(DetectionRule, frozen=True, kw_only=True):
    """Fires when a source sent nothing for `least_s` seconds in which `missed` events were to be expected."""

    missed: _Count
    least_s: _Count


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""

    count: tuple[CountRule, ...]
    share: tuple[ShareRule, ...]
    late: LateRule
    flood: FloodRule
    silence: SilenceRule
    drift: DetectionRule
    quality: DetectionRule
    poison: DetectionRule

    @property
    def all(self) -> tuple[DetectionRule, ...]:
        detectors = (*self.count, *self.share, self.late, self.flood, self.silence)
        return (*detectors, self.drift, self.quality, self.poison)


def load_rules() -> Rules:
    """Return the rules that come with the program."""
    text = files(__package__).joinpath("rules.toml").read_bytes()
    return msgspec.toml.decode(text, type=Rules)
