"""How much is on its way is bounded; small polls do not queue up behind one another; nothing blocks for ever."""

import threading
import time

import pytest

from stream_app.in_flight import InFlight

WAIT_S = 5.0


@pytest.fixture
def in_flight() -> InFlight:
    made = InFlight()
    made.begin(1)
    return made


def test_with_a_backlog_one_poll_may_wait_while_another_is_worked_on(in_flight: InFlight) -> None:
    in_flight.add(caught_up=False)
    assert in_flight.wait_for_room(0)
    in_flight.add(caught_up=False)
    assert not in_flight.wait_for_room(0)
    in_flight.finished(1)
    assert in_flight.wait_for_room(0)


def test_after_a_poll_that_left_nothing_behind_the_next_waits_until_all_is_finished(in_flight: InFlight) -> None:
    in_flight.add(caught_up=False)
    in_flight.add(caught_up=True)
    in_flight.finished(1)
    assert not in_flight.wait_for_room(0)
    in_flight.finished(1)
    assert in_flight.wait_for_room(0)


def test_a_new_epoch_forgets_what_was_on_its_way(in_flight: InFlight) -> None:
    in_flight.add(caught_up=True)
    in_flight.begin(2)
    assert in_flight.wait_for_room(0)
    in_flight.add(caught_up=True)
    in_flight.finished(1)  # dropped at last, and not of this epoch
    assert not in_flight.wait_for_room(0)
    assert (in_flight.count(1), in_flight.count(2)) == (0, 1)


def test_waiting_for_room_ends_when_a_poll_is_finished(in_flight: InFlight) -> None:
    in_flight.add(caught_up=True)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(in_flight.wait_for_room(WAIT_S)))
    waiting.start()
    started = time.monotonic()
    in_flight.finished(1)
    waiting.join(WAIT_S)
    assert answers == [True]
    assert time.monotonic() - started < WAIT_S
