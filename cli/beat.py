"""A sign of life for whoever looks after a process that has no page: a file that it touches while it works."""

import time
from collections.abc import Callable
from pathlib import Path

from contracts.errors import UserError

_EVERY_S = 1.0


def beating(file: str) -> Callable[[], None]:
    """Return what touches `file`, once a second at most however often it is called; nothing where there is no name.

    Raises `UserError` for a file that cannot be written.
    """
    if not file:
        return lambda: None
    path, beaten_at = Path(file), float("-inf")

    def beat() -> None:
        nonlocal beaten_at
        now = time.monotonic()
        if now - beaten_at < _EVERY_S:
            return
        try:
            path.touch()
        except OSError as error:
            raise UserError(f"setting beat: expected a file that can be written, {file}: {error.strerror}") from None
        beaten_at = now

    beat()
    return beat
