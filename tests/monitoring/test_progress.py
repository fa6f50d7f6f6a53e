"""Whether what waits for the workers moves."""

from monitoring.notify_alive import STUCK_S, Progress

EVENTS, SIGNALS = ("patient-events", 0), ("detection-signals", 0)


def looked(*seen: tuple[float, int, int]) -> str:
    """Return the verdict after looks at one partition: time, position, end."""
    progress = Progress()
    return [progress.stuck({EVENTS: (position, end)}, at_s) for at_s, position, end in seen][-1]


def test_what_waits_and_does_not_move_for_two_minutes_is_stuck() -> None:
    assert looked((0, 5, 500), (STUCK_S, 5, 900)) == ""
    assert looked((0, 5, 500), (STUCK_S + 1, 5, 900)).startswith("patient-events/0: 895 records wait")


def test_what_moves_is_not_stuck_however_much_waits() -> None:
    assert looked(*((minute * 60.0, minute, 10**6) for minute in range(100))) == ""


def test_where_nothing_waits_but_the_marks_of_transactions_nothing_is_stuck() -> None:
    assert looked(*((minute * 60.0, 500, 503) for minute in range(1000))) == ""
    # The first records after a quiet night have not waited all night.
    assert looked((0, 500, 500), (36_000, 500, 900)) == ""


def test_one_partition_that_is_stuck_is_enough_until_nobody_asks_for_it() -> None:
    progress = Progress()
    moving = [(at_s, {EVENTS: (at_s, 10**6), SIGNALS: (7, 70)}) for at_s in range(0, 600, 30)]
    said = [progress.stuck(places, at_s) for at_s, places in moving]
    assert said[4] == ""
    assert said[-1].startswith("detection-signals/0: 63 records wait")
    assert progress.stuck({EVENTS: (601, 10**6)}, 600) == ""
