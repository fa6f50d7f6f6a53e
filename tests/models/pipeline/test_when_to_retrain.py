"""A retrain begins by itself when the policy says so, and never more often."""

import msgspec
import pytest

from models.pipeline.policy import Policy, default_text
from models.pipeline.triggers import Situation, Told, TriggerPolicy, due

HOUR = 3_600_000
DAY = 24 * HOUR
BEGAN = 100 * DAY
DRIFT = Told("drift", BEGAN + HOUR)
POLICY = TriggerPolicy(every_days=30, outcomes=1000, outcomes_after_alert=200, least_hours_between=6)


@pytest.mark.parametrize(
    ("hours", "outcomes", "alert", "kind"),
    [
        (1, 10_000, DRIFT, None),  # too soon after the last run
        (7, 0, None, None),
        (7, 999, None, None),
        (7, 1000, None, "outcomes"),
        (7, 199, DRIFT, None),  # nothing to learn the change from yet
        (7, 200, DRIFT, "alert"),
        (7, 1000, DRIFT, "alert"),  # the more telling reason
        (30 * 24, 0, None, "timer"),
        (30 * 24 - 1, 0, None, None),
    ],
)
def test_what_calls_for_a_retrain(hours: int, outcomes: int, alert: Told | None, kind: str | None) -> None:
    found = due(POLICY, Situation(BEGAN, outcomes, alert), BEGAN + hours * HOUR)
    assert (found and found.kind) == kind


def test_a_system_that_never_retrained_does_so_by_its_timer() -> None:
    found = due(POLICY, Situation(None, 0, None), BEGAN)
    assert found is not None
    assert (found.kind, found.says) == ("timer", "every 30 days")


def test_zero_turns_a_trigger_off() -> None:
    policy = TriggerPolicy(every_days=0, outcomes=0)
    assert due(policy, Situation(None, 10_000, None), BEGAN) is None


def test_the_commented_policy_is_the_default() -> None:
    assert msgspec.toml.decode(default_text(), type=Policy).triggers == TriggerPolicy()
