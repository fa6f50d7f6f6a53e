"""The hand-over of polls from the poller's thread to the event loop."""

import asyncio
from collections import deque

from stream_app.batch import Poll


class Inbox:
    """A queue from a thread to the loop. `stream_app.in_flight` bounds it: whoever puts waits for room there first."""

    def __init__(self) -> None:
        self._polls: deque[Poll] = deque()  # appending and popping are atomic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._filled = asyncio.Event()

    def put(self, poll: Poll) -> None:
        """Add a poll; never blocks."""
        self._polls.append(poll)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._filled.set)

    async def get(self, timeout_s: float) -> Poll | None:
        """Return the oldest poll, None if none came within `timeout_s`."""
        self._loop = asyncio.get_running_loop()
        if not self._polls:
            self._filled.clear()
            if not self._polls:  # one may have come between the look and the clear
                try:
                    await asyncio.wait_for(self._filled.wait(), timeout_s)
                except TimeoutError:
                    return None
        return self._polls.popleft() if self._polls else None
