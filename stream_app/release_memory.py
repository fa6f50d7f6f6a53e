"""What a worker remembers of model-releases over restarts, so that deleting records brings no older model back.

A file of JSON lines, one for each record that was accepted. It is no more trusted than the topic: each line is judged
again when it is read. Losing it costs the memory and nothing else.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from contracts.errors import UserError

log = logging.getLogger("cardiosentry")


class Remembered(msgspec.Struct, frozen=True):
    """A record of model-releases: its offset and its bytes."""

    offset: int
    content: bytes


class ReleaseMemory:
    """The file at `path`; one worker's own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Iterator[Remembered]:
        """Yield what was remembered, in order; stop at the first line that is damaged, a crash may leave one."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"{self._path}: expected the memory of releases, got: {error.strerror}") from None
        for number, line in enumerate(lines, 1):
            try:
                yield msgspec.json.decode(line, type=Remembered)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                log.warning("release memory damaged file=%s line=%d", self._path, number)
                return

    def replace(self, entries: list[Remembered]) -> None:
        """Remember these and nothing else; on disk before this returns, whole or not at all."""
        beside = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.writelines(msgspec.json.encode(entry) + b"\n" for entry in entries)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise UserError(f"{self._path}: expected a file that can be written, got: {error.strerror}") from None
