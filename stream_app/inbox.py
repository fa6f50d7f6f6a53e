"""The bounded hand-over of batches from the poller's thread to the event loop."""

import asyncio
import threading
from collections import deque

from stream_app.batch import Batch


class Inbox:
    """A bounded queue between two threads: `put` blocks the poller, `get` waits on the loop.

    Bounded by batches and by records' bytes, because memory that waits is what costs a Python process its speed: the
    collector walks it.
    """

    def __init__(self, max_batches: int = 4, max_bytes: int = 32 * 1024 * 1024) -> None:
        self._max_batches, self._max_bytes = max_batches, max_bytes
        self._batches: deque[tuple[Batch, int]] = deque()
        self._bytes = 0
        self._room = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._filled = asyncio.Event()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Block until a batch may be put; False if `timeout_s` passed first."""
        with self._room:
            return self._room.wait_for(self._has_room, timeout_s)

    def put(self, batch: Batch) -> None:
        """Add a batch; never blocks, so ask `wait_for_room` before."""
        size = sum(map(len, filter(None, batch.values)))
        with self._room:
            self._batches.append((batch, size))
            self._bytes += size
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
            batch, size = self._batches.popleft()
            self._bytes -= size
            self._room.notify()
        return batch

    def _has_room(self) -> bool:
        return len(self._batches) < self._max_batches and self._bytes < self._max_bytes
