"""When a retrain is due by itself: a timer, outcomes that came, an alert that the model no longer fits. No I/O."""

from dataclasses import dataclass

import msgspec

from models.pipeline.run import Trigger, to_time

_HOUR_MS = 3_600_000


class TriggerPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See policy/triggers.toml."""

    every_days: float = 30.0
    outcomes: int = 1000
    rules: tuple[str, ...] = ("drift", "quality")
    outcomes_after_alert: int = 200
    least_hours_between: float = 6.0


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that calls for a new model: its rule, and when it was written (epoch milliseconds)."""

    rule: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Situation:
    """What there is since the last run began, or since the beginning where there was none.

    `began_ms` is when that was (epoch milliseconds; None: never), `outcomes` how many records of patient-outcomes came
    after those that it read, `alert` the first alert since that calls for a new model.
    """

    began_ms: int | None
    outcomes: int
    alert: Told | None


def due(policy: TriggerPolicy, situation: Situation, now_ms: int) -> Trigger | None:
    """Return why a retrain should begin now, None where nothing calls for one.

    An alert alone does not: what changed is learnt from outcomes, and those come later. It lowers the number that is
    waited for.

    >>> alert = Told("drift", 5 * 86_400_000)
    >>> due(TriggerPolicy(), Situation(0, 150, alert), now_ms=6 * 86_400_000)
    >>> due(TriggerPolicy(), Situation(0, 200, alert), now_ms=6 * 86_400_000).says
    'drift alert of 1970-01-06T00:00:00Z, 200 outcomes since the last run'
    """
    if situation.began_ms is not None and now_ms < situation.began_ms + policy.least_hours_between * _HOUR_MS:
        return None
    at, came = to_time(now_ms), f"{situation.outcomes} outcomes since the last run"
    alert = situation.alert
    if alert is not None and situation.outcomes >= policy.outcomes_after_alert:
        return Trigger("alert", f"{alert.rule} alert of {to_time(alert.at_ms)}, {came}", at)
    if policy.outcomes and situation.outcomes >= policy.outcomes:
        return Trigger("outcomes", came, at)
    if policy.every_days and (
        situation.began_ms is None or now_ms >= situation.began_ms + policy.every_days * 24 * _HOUR_MS
    ):
        return Trigger("timer", f"every {policy.every_days:g} days", at)
    return None
