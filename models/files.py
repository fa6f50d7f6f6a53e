"""Files that may not be there yet: keys and what is given out once."""

import os
from pathlib import Path


def create(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a new file with these permissions from the start; raises `FileExistsError` for one that is there."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        file.write(content)
