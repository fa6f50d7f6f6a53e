"""Those who look at the page: what is said once goes to all of them, encoded once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.codec import encode

MOST_VIEWERS = 100
_BEHIND = 32  # messages; who is further behind is let go, comes back and is told all of it


class Hub:
    """Every viewer has a queue of server-sent events; None in it means that there is no more."""

    def __init__(self) -> None:
        self._viewers: set[asyncio.Queue[bytes | None]] = set()
        self.let_go = 0
        """How many viewers were too far behind."""

    def __len__(self) -> int:
        return len(self._viewers)

    @property
    def is_full(self) -> bool:
        return len(self._viewers) >= MOST_VIEWERS

    @contextmanager
    def join(self) -> "Iterator[asyncio.Queue[bytes | None]]":
        """Give a queue that is told everything from now on."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._viewers.add(queue)
        try:
            yield queue
        finally:
            self._viewers.discard(queue)

    def say(self, event: str, what: object) -> None:
        """Tell all viewers."""
        if not self._viewers:
            return
        said = sse(event, what)
        for queue in list(self._viewers):
            if queue.qsize() < _BEHIND:
                queue.put_nowait(said)
            else:
                self.let_go += 1
                self._let_go(queue)

    def close(self) -> None:
        """Let all viewers go."""
        for queue in list(self._viewers):
            self._let_go(queue)

    def _let_go(self, queue: "asyncio.Queue[bytes | None]") -> None:
        self._viewers.discard(queue)
        queue.put_nowait(None)


def sse(event: str, what: object) -> bytes:
    """Return a server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    >>> sse("tick", {"now": 1})
    b'event: tick\\ndata: {"now":1}\\n\\n'
    """
    return b"event: " + event.encode() + b"\ndata: " + encode(what) + b"\n\n"
