"""Signing of bundles in the OpenSSF Model Signing format (OMS v1.0), with an elliptic-curve key on P-256.

The signature can be checked without our code: `model_signing verify key BUNDLE --signature BUNDLE/model.sig
--public_key model-signing.pub`.
"""

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.errors import UserError
from models.bundle import SIGNATURE_FILE
from models.dsse import public_pem
from models.files import create

PRIVATE_KEY_FILE = "model-signing.key"
PUBLIC_KEY_FILE = "model-signing.pub"

CHALLENGER_KEY_FILE = "challenger-signing.key"
"""Signs what is made unattended: no person's, it releases challengers and shadows alone."""
CHALLENGER_PUBLIC_FILE = "challenger-signing.pub"


def generate_signing_key(
    directory: Path,
    passphrase: bytes | None = None,
    *,
    private_file: str = PRIVATE_KEY_FILE,
    public_file: str = PUBLIC_KEY_FILE,
) -> tuple[Path, Path]:
    """Write a new key pair into `directory` and return the paths (private, mode 0600; public).

    The private one is encrypted if there is a `passphrase`.

    Raises `UserError`, having written nothing, if either file is there: a key that is lost cannot be had again.
    """
    private, public = directory / private_file, directory / public_file
    for path in (private, public):
        if os.path.lexists(path):
            raise UserError(f"{path}: expected no such file, got one that is there; move it away to make a new key")
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    private_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        create(private, private_pem, mode=0o600)
        create(public, public_pem(key.public_key()))
    except OSError as error:
        raise UserError(f"{directory}: expected a directory that can be written, got: {error.strerror}") from None
    return private, public


def signer(private_key: Path, passphrase: bytes | None = None) -> Callable[[Path], None]:
    """Return the function that signs a directory with the PEM key at `private_key`, and its passphrase if it has one.

    It signs every file but the signature, into model.sig. Raises `UserError` for a key that cannot be used.
    """
    # Imported here: half a second that `keys generate` does not need.
    from model_signing import hashing, signing

    config = signing.Config()  # type: ignore[no-untyped-call]  # the library types its results only
    try:
        # The library's type says `str`, but it hands a passphrase on to what wants bytes.
        config.use_elliptic_key_signer(private_key=private_key, password=passphrase)  # type: ignore[arg-type]
    except OSError as error:
        raise UserError(f"{private_key}: expected the private signing key, got: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        # Not PEM or another curve; a missing or wrong passphrase; not an elliptic-curve key; one that OpenSSL lacks.
        raise UserError(f"{private_key}: expected an elliptic-curve private key in PEM and its passphrase") from None

    def sign(directory: Path) -> None:
        signature = directory / SIGNATURE_FILE
        # Git's files are not left out as the library does by default: what lies in a bundle is signed.
        hashed = hashing.Config()  # type: ignore[no-untyped-call]
        # The library takes a relative path as one below the directory, however the directory itself is written.
        hashed.set_ignored_paths(paths=[SIGNATURE_FILE], ignore_git_paths=False)
        config.set_hashing_config(hashed).sign(directory, signature)

    return sign


def sign_bundle(directory: Path, private_key: Path) -> None:
    """Sign the bundle at `directory`, in place of a signature that is there; raises `UserError` as `signer` does."""
    signer(private_key)(directory)
