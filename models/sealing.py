"""Data keys, wrapped for a public key: whoever seals cannot open again, only the holder of the private half can.

HPKE in base mode (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM). It says nothing of who sealed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from contracts.errors import UserError
from models.files import create

KEY_BYTES = 32
WRAPPED_BYTES = 80
"""A wrapped key: the sender's public key (32), the key (32), a tag (16)."""

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class Unwrapper(Protocol):
    """Something that unwraps data keys: a key file, a key service, a hardware token."""

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes:
        """Return the data key; raises `ValueError` if it was not wrapped for this key under `info`."""


def wrap(data_key: bytes, public: X25519PublicKey, info: bytes) -> bytes:
    """Return the data key, wrapped; `info` says what for, and must be the same to unwrap it."""
    return _SUITE.encrypt(data_key, public, info)


class PrivateKey:
    """An X25519 private key, which stays in memory as long as this object."""

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def load(cls, path: Path, whose: str) -> "PrivateKey":
        """Read a key (PEM); raises `UserError` if the file is not one. `whose` it is says the error."""
        key = _load(path, f"{whose} private", lambda pem: serialization.load_pem_private_key(pem, password=None))
        if not isinstance(key, X25519PrivateKey):
            raise _no_key(path, "private")
        return cls(key)

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes:
        """See `Unwrapper`."""
        try:
            return _SUITE.decrypt(wrapped, self._key, info)
        except InvalidTag:
            raise ValueError("expected a data key that was wrapped for this private key") from None


def generate_keys(directory: Path, private_file: str, public_file: str) -> None:
    """Write a key pair (PEM) into `directory`, the private half readable by its owner alone."""
    private = X25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    create(directory / private_file, pem, mode=0o600)
    (directory / public_file).write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def load_public_key(path: Path, whose: str) -> X25519PublicKey:
    """Read a public key (PEM); raises `UserError` if the file is not one. `whose` it is says the error."""
    key = _load(path, f"{whose} public", serialization.load_pem_public_key)
    if not isinstance(key, X25519PublicKey):
        raise _no_key(path, "public")
    return key


def _load(path: Path, which: str, read: Callable[[bytes], object]) -> object:
    try:
        return read(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: expected the {which} key: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _no_key(path, which.rpartition(" ")[2]) from None


def _no_key(path: Path, half: str) -> UserError:
    return UserError(f"{path}: expected an X25519 {half} key in PEM, as `cardiosentry keys generate` writes it")
