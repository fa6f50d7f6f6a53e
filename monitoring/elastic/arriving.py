"""Lines as they arrive: of a pipe that goes on for days, too, none waits long for those after it."""

import select
import time
from collections.abc import Iterable, Iterator
from io import BufferedReader

_READ_BYTES = 64 * 1024


def arriving(files: Iterable[BufferedReader], at_most: int, within_s: float) -> Iterator[list[bytes]]:
    """Yield the lines of files, or pipes, in parts of `at_most`, or fewer `within_s` seconds after the first came."""
    lines: list[bytes] = []
    due = 0.0
    for file in files:
        begun = b""
        while True:
            if select.select([file], [], [], max(0.0, due - time.monotonic()) if lines else None)[0]:
                part = file.read1(_READ_BYTES)
                if not part:
                    break
                *whole, begun = (begun + part).split(b"\n")
                due = due if lines else time.monotonic() + within_s
                lines += whole
            while len(lines) >= at_most or (lines and time.monotonic() >= due):
                yield lines[:at_most]
                lines = lines[at_most:]
        lines += [begun] if begun else []
    if lines:
        yield lines
