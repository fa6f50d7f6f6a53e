"""Open-loop pacing and the loop that publishes by it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import UserError
from contracts.topics import EVENTS, OUTCOMES
from producers.pacing import MAX_BURST, Pace
from producers.run import Progress, run
from producers.sources import SourceRecord
from tests.producers.support import FakeClock, ListSink, synthetic


@given(
    rate=st.floats(0.5, 20_000),
    pauses=st.lists(st.floats(0, 0.05), min_size=1, max_size=50),
)
def test_what_is_due_follows_from_the_clock_alone_however_it_is_cut(rate: float, pauses: list[float]) -> None:
    clock = FakeClock(0.0)
    pace = Pace(rate, clock=clock)
    sent = 0
    for pause in pauses:
        clock.sleep(pause if sent else 0)
        while due := pace.due():
            pace.sent(due)
            sent += due
        assert sent == int(clock() * rate) + 1


def test_after_a_stall_the_backlog_is_due_in_bursts_and_its_age_is_told() -> None:
    clock = FakeClock()
    pace = Pace(1000, clock=clock)
    pace.sent(pace.due())
    clock.sleep(5)
    assert pace.due() == MAX_BURST
    assert pace.behind_s() == pytest.approx(4.999)
    pace.sent(MAX_BURST)
    assert pace.behind_s() == pytest.approx(3.999)


def test_waits_are_long_enough_for_librdkafkas_timer_and_short_enough_to_stop() -> None:
    clock = FakeClock()
    for rate, expected in ((100_000, 0.001), (50, 0.02), (0.1, 0.1)):
        pace = Pace(rate, clock=clock)
        pace.sent(pace.due())
        assert pace.wait_s() == pytest.approx(expected)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        Pace(rate)


def test_events_leave_at_the_rate_and_outcomes_on_top_of_it_after_their_delay() -> None:
    clock = FakeClock()
    sink = ListSink(clock)
    done = run(synthetic(outcome_delay_s=1.5), sink, Pace(100, clock=clock), limit=500, clock=clock)
    events = {record.event_id: at for at, record in sink.got if record.topic is EVENTS}
    outcomes = {record.event_id: at for at, record in sink.got if record.topic is OUTCOMES}
    assert len(events) == len(outcomes) == 500
    assert done.sent == 1000
    assert done.waiting == 0
    assert max(events.values()) - min(events.values()) == pytest.approx(4.99, abs=0.11)
    assert all(1.5 <= outcomes[event_id] - at < 1.7 for event_id, at in events.items())


def test_a_slow_sink_does_not_lower_the_rate_and_the_lag_is_told() -> None:
    clock = FakeClock()
    seen: list[Progress] = []
    done = run(
        synthetic(), ListSink(clock, send_s=0.05), Pace(1000, clock=clock), limit=2000, clock=clock,
        on_progress=seen.append,
    )  # fmt: skip
    assert done.sent == 2000
    assert clock() - 100 == pytest.approx(2.0, abs=0.1)
    assert 0.04 < done.max_behind_s < 0.06
    assert seen[-1] == done


def test_stop_ends_at_once_and_counts_what_waits() -> None:
    clock = FakeClock()
    sink = ListSink(clock)
    done = run(synthetic(outcome_delay_s=60), sink, Pace(100, clock=clock), stop=lambda: clock() > 101, clock=clock)
    assert clock() < 101.2
    assert done.waiting == done.sent == len(sink.got)


@pytest.mark.parametrize("limit", [0, 1, 999, 1001])
def test_a_limit_is_kept_at_full_speed(limit: int) -> None:
    clock = FakeClock()
    sink = ListSink(clock)
    assert run(synthetic(), sink, Pace(None, clock=clock), limit=limit, clock=clock).sent == limit == len(sink.got)


class _Breaks:
    """Gives ten records, then fails."""

    def __init__(self) -> None:
        self._calls = 0

    def take(self, count: int, at_ms: int) -> Sequence[SourceRecord]:
        self._calls += 1
        if self._calls > 1:
            raise UserError("patients.csv, line 12: expected a number")
        return synthetic().take(min(10, count), at_ms)


def test_what_a_source_gave_before_it_failed_is_sent() -> None:
    clock = FakeClock()
    sink = ListSink(clock)
    with pytest.raises(UserError, match="line 12"):
        run(_Breaks(), sink, Pace(None, clock=clock), clock=clock)
    assert len(sink.got) == 10
