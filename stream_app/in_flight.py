"""How much is between the poller and the end of the pipeline: what bounds memory and makes batches of a good size."""

import threading

_AHEAD = 2
"""Polls at once while there is a backlog: the pipeline never waits for the next one. More would be memory that waits,
and that costs a Python process its speed: the collector walks it."""


class InFlight:
    """Counts the polls of the poller's epoch that were handed over and are not finished.

    After a poll that left nothing behind the next one waits until all is finished: meanwhile records gather in the
    client, and come as few large batches instead of many small ones.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._epoch = 0
        self._count = 0
        self._limit = _AHEAD

    def begin(self, epoch: int) -> None:
        """Forget what was on its way before: whoever meets it drops it. The poller's to call, as `add`."""
        with self._changed:
            self._epoch, self._count = epoch, 0

    def add(self, *, caught_up: bool) -> None:
        """Note that a poll of this epoch is on its way."""
        with self._changed:
            self._count += 1
            self._limit = 1 if caught_up else _AHEAD

    def wait_for_room(self, timeout_s: float) -> bool:
        """Block until another poll is wanted; False if `timeout_s` passed first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count < self._limit, timeout_s)

    def finished(self, epoch: int) -> None:
        """Note that a poll was processed, and committed if that was due, or dropped."""
        with self._changed:
            if epoch == self._epoch:
                self._count -= 1
                self._changed.notify()

    def count(self, epoch: int) -> int:
        """Return how many polls of `epoch` are on their way."""
        with self._changed:
            return self._count if epoch == self._epoch else 0
