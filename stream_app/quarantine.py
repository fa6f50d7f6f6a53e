"""Quarantine: what could not be used, sealed for the reviewers, since it may hold names.

Each batch gets a fresh AES-256 key, wrapped for the reviewers' public key (models/sealing.py); each record is sealed
under it with its own nonce. Reason, origin, digest and size stand in plain headers, bound to the sealed bytes as
associated data.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import InvalidRecord, UserError
from models.sealing import KEY_BYTES, Unwrapper, wrap

REASON_HEADER = "cs-reason"
DETAIL_HEADER = "cs-detail"
ORIGIN_HEADER = "cs-origin"
DIGEST_HEADER = "cs-digest"
SIZE_HEADER = "cs-size"
WRAPPED_KEY_HEADER = "cs-wrapped-key"

PRIVATE_KEY_FILE = "reviewers.key"
PUBLIC_KEY_FILE = "reviewers.pub"

MAX_COPY_BYTES = 256 * 1024
"""More of a record is cut: a copy near the broker's limit plus headers is refused, and then no transaction commits."""

_INFO = b"cardiosentry quarantine 1"


class Quarantined(msgspec.Struct, frozen=True, gc=False):
    """A record as it stands in the quarantine topic."""

    value: bytes
    headers: list[tuple[str, bytes]]


class Sealer:
    """Seals rejected records for whoever holds the reviewers' private key."""

    def __init__(self, reviewers: X25519PublicKey) -> None:
        self._reviewers = reviewers

    def seal(self, rejected: Iterable[tuple[InvalidRecord, str, bytes]]) -> list[Quarantined]:
        """Seal the rejected records of one batch: what is wrong, where it was, its bytes (see `frame`)."""
        data_key = os.urandom(KEY_BYTES)
        wrapped = (WRAPPED_KEY_HEADER, wrap(data_key, self._reviewers, _INFO))
        aead = AESGCM(data_key)
        sealed = []
        for number, (error, origin, framed) in enumerate(rejected):
            headers = [
                (REASON_HEADER, error.reason.encode()),
                (DETAIL_HEADER, error.detail.encode()),
                (ORIGIN_HEADER, origin.encode()),
                (DIGEST_HEADER, b"sha256:%b" % hashlib.sha256(framed).hexdigest().encode()),
                (SIZE_HEADER, b"%d" % len(framed)),
            ]
            nonce = number.to_bytes(12, "big")  # unique under its key: the key is this batch's alone
            value = nonce + aead.encrypt(nonce, framed[:MAX_COPY_BYTES], _associated(headers))
            sealed.append(Quarantined(value, [*headers, wrapped]))
        return sealed


def frame(key: bytes | None, value: bytes | None) -> bytes:
    """Return a record's bytes as they are sealed and digested: the key's length (4 bytes, big-endian), key, value."""
    key = key or b""
    return len(key).to_bytes(4, "big") + key + (value or b"")


def unframe(framed: bytes) -> tuple[bytes, bytes]:
    """Return key and value of what `frame` made (of which the end may have been cut)."""
    length = int.from_bytes(framed[:4], "big")
    return framed[4 : 4 + length], framed[4 + length :]


def unseal(reviewers: Unwrapper, value: bytes, headers: Mapping[str, bytes]) -> bytes:
    """Return the framed bytes of a quarantined record; raise `UserError` if it is not sealed for this key."""
    try:
        data_key = reviewers.unwrap(headers[WRAPPED_KEY_HEADER], _INFO)
        plain = [(name, headers[name]) for name in _BOUND_HEADERS]
        return AESGCM(data_key).decrypt(value[:12], value[12:], _associated(plain))
    except (InvalidTag, KeyError, ValueError):
        origin = headers.get(ORIGIN_HEADER, b"?").decode("ascii", "replace")
        raise UserError(
            f"quarantined record {origin}: expected bytes sealed for this private key, unchanged since; they are not"
        ) from None


_BOUND_HEADERS = (REASON_HEADER, DETAIL_HEADER, ORIGIN_HEADER, DIGEST_HEADER, SIZE_HEADER)


def _associated(headers: list[tuple[str, bytes]]) -> bytes:
    return b"\0".join([value for _, value in headers])
