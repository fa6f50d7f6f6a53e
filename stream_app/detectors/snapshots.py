"""The watch's state as records of detection-signals: written now and then, read by whoever takes the watch over.

A state is MessagePack, compressed, cut into records of `_PART_BYTES`. With as many sources and counts as are kept, all
of the longest names, it stays below `MAX_STATE_BYTES` before it is compressed. Whoever may write to the topic can write
what looks like a state: what is not whole and of the form is passed over.
"""

import hashlib
import zlib
from collections.abc import Iterable
from typing import Annotated

import msgspec

from stream_app.detectors.watch import WatchState

KEY = b"state"
MAX_STATE_BYTES = 32 * 1024 * 1024
_PART_BYTES = 512 * 1024
_MAX_PARTS = MAX_STATE_BYTES // _PART_BYTES + 1  # zlib makes what cannot be compressed no longer than that
_LEVEL = 1  # a fifth of the time of the default for a tenth more bytes


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One record: a piece of the state that holds up to the offset `end` of signals, whose bytes have this `digest`."""

    end: Annotated[int, msgspec.Meta(ge=0)]
    digest: bytes
    number: Annotated[int, msgspec.Meta(ge=0)]
    of: Annotated[int, msgspec.Meta(ge=1, le=_MAX_PARTS)]
    data: bytes


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def encode_state(state: WatchState, end: int) -> list[bytes]:
    """Return the records of a state that holds up to the offset `end`."""
    data = zlib.compress(msgspec.msgpack.encode(state), _LEVEL)
    pieces = [data[first : first + _PART_BYTES] for first in range(0, len(data), _PART_BYTES)]
    digest = digest_of(data)
    return [
        msgspec.msgpack.encode(Part(end, digest, number, len(pieces), piece)) for number, piece in enumerate(pieces)
    ]


def last_state(records: Iterable[bytes | None]) -> tuple[int, WatchState] | None:
    """Return the last whole state among records, and the offset up to which it holds; None if there is none."""
    found: tuple[int, WatchState] | None = None
    parts: list[Part] = []
    for value in records:
        try:
            part = msgspec.msgpack.decode(value or b"", type=Part)
        except (ValueError, RecursionError):
            continue
        if parts and (part.end, part.digest, part.of) != (parts[0].end, parts[0].digest, parts[0].of):
            parts = []
        if part.number != len(parts):
            continue
        parts.append(part)
        if len(parts) == part.of:
            state = _decode(b"".join(each.data for each in parts), part.digest)
            found = (part.end, state) if state else found
            parts = []
    return found


def _decode(data: bytes, digest: bytes) -> WatchState | None:
    if digest_of(data) != digest:
        return None
    unzip = zlib.decompressobj()
    try:
        packed = unzip.decompress(data, MAX_STATE_BYTES)
        return msgspec.msgpack.decode(packed, type=WatchState) if unzip.eof else None
    except (zlib.error, ValueError, RecursionError):
        return None
