"""What a run is told of is counted by rule."""

from contracts.alerts import Rule, alert
from contracts.codec import encode
from monitoring.tally import Tally


def test_alerts_are_counted_by_rule_and_what_ended_is_none() -> None:
    tally = Tally()
    for ended in (False, False, True):
        made = alert(
            Rule("source-silence", "A source that fell silent", "1", "x"),
            "a test",
            at_ms=1_790_000_000_000,
            dataset="security",
            severity="medium",
            ended=ended,
        )
        tally.alerted(encode(made), 0.0)
    assert [(told.rule, told.count) for told in tally.alerts.values()] == [("source-silence", 2)]
