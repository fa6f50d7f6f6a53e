"""Sealed files: what is collected of patients lies on no disk in the clear.

A file is cut into chunks of 64 KiB, each sealed by AES-256-GCM under the file's own key. The nonce is the chunk's
number (11 bytes) and whether it is the last one (1 byte): chunks that were moved, left out or cut off at the end do not
open. That is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar: Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance, CRYPTO 2015), as age uses it (https://age-encryption.org/v1). Each chunk opens by itself,
so that a file can be read from any place, as Parquet wants it.
"""

import io
import os
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from models.sealing import KEY_BYTES, WRAPPED_BYTES, Unwrapper, wrap

PRIVATE_KEY_FILE = "pipeline.key"
PUBLIC_KEY_FILE = "pipeline.pub"

CHUNK_BYTES = 64 * 1024
_TAG_BYTES = 16
_SEALED_BYTES = CHUNK_BYTES + _TAG_BYTES
_MAGIC = b"cardiosentry sealed 1\n"
_HEAD_BYTES = len(_MAGIC) + WRAPPED_BYTES
_INFO = b"cardiosentry snapshot 1"


class BrokenSeal(ValueError):
    """Bytes that were not sealed so under this key; the text says which chunk did not open."""


class SealedWriter(io.RawIOBase):
    """Seals what is written to it into `file`, from where that stands. Whole only when it is closed; `file` stays open.

    `key` (32 bytes) must be of this file alone: the nonces of another one are the same.
    """

    def __init__(self, file: BinaryIO, key: bytes, head: bytes = b"") -> None:
        self._file, self._aead, self._head = file, AESGCM(key), head
        self._waiting = bytearray()
        self._chunks = self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: object) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # any buffer
        self._waiting += view
        self._written += len(view)
        # What may be the last chunk waits until it is known not to be.
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(last=False)
        return len(view)

    def close(self) -> None:
        if not self.closed:
            self._seal(last=True)
            self._file.flush()
        super().close()

    def _seal(self, *, last: bool) -> None:
        chunk = bytes(self._waiting[:CHUNK_BYTES])
        del self._waiting[:CHUNK_BYTES]
        self._file.write(self._aead.encrypt(_nonce(self._chunks, last=last), chunk, self._head))
        self._chunks += 1


class SealedReader(io.RawIOBase):
    """Reads what a `SealedWriter` wrote into `file` from its beginning or behind `head`, from any place.

    Raises `BrokenSeal` for a file that was cut or changed: at once where its end is wrong, else where it is read.
    """

    def __init__(self, file: BinaryIO, key: bytes, head: bytes = b"") -> None:
        self._file, self._aead, self._head = file, AESGCM(key), head
        size = file.seek(0, os.SEEK_END) - len(head)
        self._last = max(0, -(-size // _SEALED_BYTES) - 1)
        self._size = size - (self._last + 1) * _TAG_BYTES
        self._place = 0
        self._open = -1
        self._chunk = b""
        self._load(self._last)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"expected a place from 0, got {base + offset}")
        self._place = base + offset
        return self._place

    def readinto(self, buffer: object) -> int:
        """Fill the whole buffer unless the file ends: a reader of Arrow's takes less for the end."""
        into = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # any buffer that can be written
        filled = 0
        while filled < len(into) and self._place < self._size:
            self._load(self._place // CHUNK_BYTES)
            start = self._place % CHUNK_BYTES
            taken = self._chunk[start : start + len(into) - filled]
            into[filled : filled + len(taken)] = taken
            filled += len(taken)
            self._place += len(taken)
        return filled

    def _load(self, chunk: int) -> None:
        if chunk == self._open:
            return
        self._file.seek(len(self._head) + chunk * _SEALED_BYTES)
        sealed = self._file.read(_SEALED_BYTES)
        try:
            self._chunk = self._aead.decrypt(_nonce(chunk, last=chunk == self._last), sealed, self._head)
        except (InvalidTag, ValueError):
            raise BrokenSeal(f"expected chunk {chunk} of {self._last + 1} as it was sealed, got others") from None
        self._open = chunk


def seal_for(public: X25519PublicKey, file: BinaryIO) -> SealedWriter:
    """Return a writer into a new `file` under a fresh key, which stands in the file's head, wrapped for `public`."""
    key = os.urandom(KEY_BYTES)
    head = _MAGIC + wrap(key, public, _INFO)
    file.write(head)
    return SealedWriter(file, key, head)


def unseal(private: Unwrapper, file: BinaryIO) -> SealedReader:
    """Return a reader of a file that `seal_for` made; raises `BrokenSeal` if it is none for this key."""
    head = file.read(_HEAD_BYTES)
    if len(head) != _HEAD_BYTES or not head.startswith(_MAGIC):
        raise BrokenSeal("expected a sealed file of version 1")
    try:
        key = private.unwrap(head[len(_MAGIC) :], _INFO)
    except ValueError as error:
        raise BrokenSeal(str(error)) from None
    return SealedReader(file, key, head)


def _nonce(chunk: int, *, last: bool) -> bytes:
    return chunk.to_bytes(11, "big") + bytes([last])
