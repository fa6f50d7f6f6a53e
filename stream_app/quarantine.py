"""Quarantine: what could not be used, sealed for the reviewers, since it may hold names.

Each batch gets a fresh AES-256 key, wrapped by HPKE (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) for the reviewers'
public key; each record is sealed under it with its own nonce. Reason, origin, digest and size stand in plain headers,
bound to the sealed bytes as associated data.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import InvalidRecord, UserError
from models.files import create

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

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
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
        data_key = os.urandom(32)
        wrapped = (WRAPPED_KEY_HEADER, _SUITE.encrypt(data_key, self._reviewers, _INFO))
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


def unseal(reviewers: X25519PrivateKey, value: bytes, headers: Mapping[str, bytes]) -> bytes:
    """Return the framed bytes of a quarantined record; raise `UserError` if it is not sealed for this key."""
    try:
        data_key = _SUITE.decrypt(headers[WRAPPED_KEY_HEADER], reviewers, _INFO)
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


def generate_reviewer_keys(directory: Path) -> None:
    """Write the reviewers' key pair (PEM) into `directory`, the private half readable by its owner alone."""
    private = X25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    create(directory / PRIVATE_KEY_FILE, pem, mode=0o600)
    (directory / PUBLIC_KEY_FILE).write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def load_reviewers_public_key(path: Path) -> X25519PublicKey:
    """Read the reviewers' public key; raise `UserError` if the file is not one."""
    key = _load(path, "public", serialization.load_pem_public_key)
    if not isinstance(key, X25519PublicKey):
        raise _no_key(path, "public")
    return key


def load_reviewers_private_key(path: Path) -> X25519PrivateKey:
    """Read the reviewers' private key; raise `UserError` if the file is not one."""
    key = _load(path, "private", lambda pem: serialization.load_pem_private_key(pem, password=None))
    if not isinstance(key, X25519PrivateKey):
        raise _no_key(path, "private")
    return key


def _load(path: Path, half: str, read: Callable[[bytes], object]) -> object:
    try:
        return read(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: expected the reviewers' {half} key: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _no_key(path, half) from None


def _no_key(path: Path, half: str) -> UserError:
    return UserError(f"{path}: expected an X25519 {half} key in PEM, as `cardiosentry keys generate` writes it")
