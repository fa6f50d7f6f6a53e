"""The inbox keeps the order and loses nothing between the poller's thread and the loop."""

import asyncio
import threading
import time

from stream_app.batch import Poll
from stream_app.inbox import Inbox
from tests.stream_app.support import Wire, batch_of

WAIT_S = 5.0


def poll(number: int = 0) -> Poll:
    return Poll(number, caught_up=True, batches=[batch_of([Wire(None, b"x")])])


def test_an_empty_inbox_answers_none_after_its_time() -> None:
    assert asyncio.run(Inbox().get(0.01)) is None


def test_a_poll_from_another_thread_wakes_the_loop_that_waits() -> None:
    inbox = Inbox()
    put = poll()

    async def wait() -> None:
        waiting = asyncio.ensure_future(inbox.get(WAIT_S))
        await asyncio.sleep(0.02)
        threading.Thread(target=inbox.put, args=[put]).start()
        started = time.monotonic()
        assert await waiting is put
        assert time.monotonic() - started < WAIT_S / 2

    asyncio.run(wait())


def test_everything_comes_through_once_in_order() -> None:
    inbox = Inbox()
    total = 2000

    def produce() -> None:
        for number in range(total):
            inbox.put(poll(number))

    async def consume() -> list[int]:
        got: list[int] = []
        while len(got) < total:
            found = await inbox.get(WAIT_S)
            if found is not None:  # it may answer early and empty-handed; the caller asks again
                got.append(found.epoch)
        return got

    thread = threading.Thread(target=produce)
    thread.start()
    assert asyncio.run(asyncio.wait_for(consume(), 10 * WAIT_S)) == list(range(total))
    thread.join(WAIT_S)
