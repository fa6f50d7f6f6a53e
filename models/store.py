"""Where the files of released bundles lie: content-addressed and write-once.

A file is asked for by its SHA-256, so a store can withhold but not deceive; nothing in it has a name that could point
elsewhere. More stores go behind the same interface; store_s3.py is one.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

from contracts.errors import ModelRejected, RetryableError, UserError
from contracts.releases import Release


class Store(Protocol):
    """Keeps files by their SHA-256 (64 hex digits)."""

    def put(self, content: bytes) -> str:
        """Keep a file and return its SHA-256; one that is there already stays as it is."""

    def get(self, sha256: str, size: int) -> bytes:
        """Return the file of this SHA-256 and size.

        Raises `RetryableError` while the store has none or does not answer, `ModelRejected` for other bytes. Reads at
        most one byte more than `size`.
        """


class DirectoryStore:
    """A directory: `ab/abcdef…` holds the file whose SHA-256 is abcdef…; read-only to all but whoever releases."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        place = self._place(sha256)
        if place.exists():
            return sha256
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".put-", delete=False) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(file.name, 0o444)
            os.replace(file.name, place)  # whole or not at all; a second one of the same name has the same bytes
        except OSError as error:
            raise UserError(f"{self._path}: expected a store that can be written, got: {error.strerror}") from None
        return sha256

    def get(self, sha256: str, size: int) -> bytes:
        try:
            descriptor = os.open(self._place(sha256), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(size + 1)
        except OSError as error:
            raise RetryableError(f"store {self._path}: expected the file {sha256}, got: {error.strerror}") from None
        return checked(content, sha256, size)

    def _place(self, sha256: str) -> Path:
        return self._path / sha256[:2] / sha256


def open_store(text: str) -> Store:
    """Return the store of the setting `store`: an S3 bucket as `s3://bucket/prefix`, or a directory.

    Connects to nothing yet. Raises `UserError` for what is neither.
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        return DirectoryStore(Path(text))
    if scheme != "s3":  # what was given may hold a secret
        raise UserError("store: expected a directory or s3://BUCKET/PREFIX, got another kind of URL")
    from models.store_s3 import S3Store  # whoever uses a directory does not wait for what S3 needs

    return S3Store(text)


def fetch(store: Store, release: Release) -> dict[str, bytes]:
    """Return a release's files by their names; raises as `Store.get`."""
    return {file.name: store.get(file.sha256, file.size) for file in release.files}


def fetch_file(store: Store, release: Release, name: str) -> bytes:
    """Return one file of a release; raises as `Store.get`."""
    (file,) = (file for file in release.files if file.name == name)
    return store.get(file.sha256, file.size)


def checked(content: bytes, sha256: str, size: int) -> bytes:
    """Return the bytes that a store gave, if they are those asked for; raise `ModelRejected` otherwise."""
    if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
        raise ModelRejected(f"store: expected the {size} bytes of {sha256}, got others")
    return content
