"""The inbox is bounded, keeps the order and loses nothing between the poller's thread and the loop."""

import asyncio
import threading
import time

from stream_app.inbox import Inbox
from tests.stream_app.support import Wire, batch_of

WAIT_S = 5.0


RECORD = Wire(None, b"x")


def test_it_has_no_room_at_its_number_of_batches() -> None:
    inbox = Inbox(max_batches=2)
    for _ in range(2):
        assert inbox.wait_for_room(0)
        inbox.put(batch_of([RECORD]))
    assert not inbox.wait_for_room(0)
    assert asyncio.run(inbox.get(0)) is not None
    assert inbox.wait_for_room(0)


def test_a_poll_of_many_partitions_is_taken_whole_and_then_worked_off() -> None:
    """What was fetched is never dropped for want of room: it only delays the next poll."""
    inbox = Inbox(max_batches=2)
    for number in range(5):
        inbox.put(batch_of([RECORD], partition=number))
    taken = []
    for left in (4, 3, 2, 1, 0):
        batch = asyncio.run(inbox.get(0))
        assert batch is not None
        taken.append(batch.partition)
        assert inbox.wait_for_room(0) is (left < 2)
    assert taken == [0, 1, 2, 3, 4]


def test_waiting_for_room_ends_when_a_batch_is_taken() -> None:
    inbox = Inbox(max_batches=1)
    inbox.put(batch_of([RECORD]))
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(inbox.wait_for_room(WAIT_S)))
    waiting.start()
    started = time.monotonic()
    asyncio.run(inbox.get(0))
    waiting.join(WAIT_S)
    assert answers == [True]
    assert time.monotonic() - started < WAIT_S


def test_an_empty_inbox_answers_none_after_its_time() -> None:
    assert asyncio.run(Inbox().get(0.01)) is None


def test_a_batch_from_another_thread_wakes_the_loop_that_waits() -> None:
    inbox = Inbox()
    batch = batch_of([RECORD])

    async def wait() -> None:
        waiting = asyncio.ensure_future(inbox.get(WAIT_S))
        await asyncio.sleep(0.02)
        threading.Thread(target=inbox.put, args=[batch]).start()
        started = time.monotonic()
        assert await waiting is batch
        assert time.monotonic() - started < WAIT_S / 2

    asyncio.run(wait())


def test_everything_comes_through_once_in_order_and_never_more_than_the_bound() -> None:
    inbox = Inbox(max_batches=3)
    total = 2000
    held: list[int] = []

    def produce() -> None:
        for number in range(total):
            while not inbox.wait_for_room(WAIT_S):
                pass
            inbox.put(batch_of([RECORD], first_offset=number))
            held.append(len(inbox._batches))

    async def consume() -> list[int]:
        got: list[int] = []
        while len(got) < total:
            batch = await inbox.get(WAIT_S)
            if batch is not None:  # it may answer early and empty-handed; the caller asks again
                got.append(batch.offsets[0])
        return got

    thread = threading.Thread(target=produce)
    thread.start()
    assert asyncio.run(asyncio.wait_for(consume(), 10 * WAIT_S)) == list(range(total))
    thread.join(WAIT_S)
    assert max(held) <= 3
