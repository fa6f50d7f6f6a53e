"""A signing key in a PEM file, encrypted or not: the first key provider."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.errors import UserError

_MAX_BYTES = 16 * 1024


class KeyFile:
    """Signs with the private key of a PEM file. The key stays in memory as long as this object."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None = None) -> "KeyFile":
        """Read the key at `path`; raises `UserError`, which says whether a passphrase is wanted."""
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES)
        except OSError as error:
            raise UserError(f"{path}: expected a private signing key, got: {error.strerror}") from None
        if is_encrypted(content) != (passphrase is not None):
            expected = "a passphrase for this encrypted key" if passphrase is None else "no passphrase for a plain key"
            raise UserError(f"{path}: expected {expected}")
        try:
            key = serialization.load_pem_private_key(content, passphrase)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise UserError(f"{path}: expected an elliptic-curve private key in PEM and its passphrase") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UserError(f"{path}: expected an elliptic-curve private key on P-256")
        return cls(key)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def sign(self, message: bytes) -> bytes:
        """See `models.dsse.KeyProvider`."""
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


def is_encrypted(pem: bytes) -> bool:
    """Whether a PEM private key wants a passphrase."""
    return b"ENCRYPTED" in pem
