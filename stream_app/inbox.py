"""The bounded hand-over of batches from the poller's thread to the event loop."""

import asyncio
import threading
from collections import deque

from stream_app.batch import Batch


class Inbox:
    """A bounded queue between two threads: `wait_for_room` blocks the poller, `get` waits on the loop.

    It takes the batches of one poll more once fewer than `max_batches` wait: with 1, records gather in librdkafka while
    the pipeline is busy, and the next poll brings fewer and larger batches. Short, because memory that waits costs a
    Python process its speed: the collector walks it.
    """

    def __init__(self, max_batches: int = 1) -> None:
        self._max_batches = max_batches
        self._batches: deque[Batch] = deque()
        self._room = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._filled = asyncio.Event()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Block until a batch may be put; False if `timeout_s` passed first."""
        with self._room:
            return self._room.wait_for(self._has_room, timeout_s)

    def put(self, batch: Batch) -> None:
        """Add a batch; never blocks, so ask `wait_for_room` before."""
        with self._room:
            self._batches.append(batch)
            loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._filled.set)

    async def get(self, timeout_s: float) -> Batch | None:
        """Return the oldest batch, None if none came within `timeout_s`."""
        self._loop = asyncio.get_running_loop()
        if not self._batches:
            self._filled.clear()
            if not self._batches:  # one may have come between the look and the clear
                try:
                    await asyncio.wait_for(self._filled.wait(), timeout_s)
                except TimeoutError:
                    return None
        with self._room:
            if not self._batches:
                return None
            batch = self._batches.popleft()
            self._room.notify()
        return batch

    def _has_room(self) -> bool:
        return len(self._batches) < self._max_batches
