"""Waiting for what another process does."""

import time
from collections.abc import Callable

_BUSY = 4
"""How much longer it may take where both cores are busy: a wait ends a test that hangs, it times nothing."""


def wait_for(condition: Callable[[], bool], timeout_s: float, explain: Callable[[], str] = str) -> None:
    """Wait until `condition` holds; fail with what `explain` says after `timeout_s`, of an idle machine."""
    started = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - started
        if waited_s > _BUSY * timeout_s:
            raise AssertionError(f"not within {waited_s:.0f} s: {explain()[-4000:]}")
        time.sleep(0.05)
