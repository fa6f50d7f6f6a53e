"""Verification of a bundle: the only way from a directory to a model that scores.

The steps, in this order, each on the bytes that were read once and that are handed on:

1. The directory holds the three files of a bundle and nothing else; each is a regular file within its size limit.
2. The signature file is an OMS bundle with one signature, whose statement names both files, and no others, with the
   SHA-256 of the bytes that were read.
3. The statement is signed by the given key (checked by OpenSSF's model_signing).
4. The manifest parses strictly, under a format that we know.
5. The graph loads, reads what the feature table names and gives probabilities.

Left out: the graph's operators are not limited to a list, since whoever can sign can already decide what is scored. A
signature has no date and no expiry: which version may be loaded is a release's business, not a bundle's.
"""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from model_signing import verifying

from contracts.errors import ModelRejected
from models.bundle import (
    BUNDLE_FILES,
    DIGESTED_FILES,
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    Manifest,
    bundle_digest,
    decode_manifest,
)
from models.oms import OmsError, SignatureFile, encode_signature, read_signature
from models.probe import probe

# Sizes before reading: the demo's files are 10, 8 and 2 KB; a boosted forest of a thousand trees is a few MB.
MAX_BYTES = {MANIFEST_FILE: 4 * 1024 * 1024, MODEL_FILE: 64 * 1024 * 1024, SIGNATURE_FILE: 256 * 1024}
MAX_KEY_BYTES = 16 * 1024


@dataclass(frozen=True)
class VerifiedBundle:
    """A model that passed every step: its manifest, its digest ("sha256:…") and the bytes of its graph."""

    manifest: Manifest
    digest: str
    onnx: bytes


def verify_bundle(path: Path, public_key: Path) -> VerifiedBundle:
    """Verify the bundle at `path` with the PEM key at `public_key` and return what may be loaded.

    Raises `ModelRejected` that names the file and what was expected.
    """
    files = _read_files(path)  # 1
    signature = _read_statement(path, files)  # 2
    _check_signature(path, files, signature, public_key)  # 3
    try:  # 4
        manifest = decode_manifest(files[MANIFEST_FILE])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRejected(f"{path / MANIFEST_FILE}: expected a manifest of format 1, got: {error}") from None
    if manifest.model_bytes != len(files[MODEL_FILE]):
        raise ModelRejected(
            f"{path / MODEL_FILE}: expected {manifest.model_bytes} bytes by the manifest, got {len(files[MODEL_FILE])}"
        )
    fault = probe(manifest, files[MODEL_FILE])  # 5
    if fault is not None:
        raise ModelRejected(f"{path / MODEL_FILE}: {fault}")
    return VerifiedBundle(manifest, bundle_digest(files), files[MODEL_FILE])


def _read_files(path: Path) -> dict[str, bytes]:
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ModelRejected(f"{path}: expected a bundle's directory, got: {error.strerror}") from None
    try:
        names = set(os.listdir(directory))
        for name in BUNDLE_FILES:
            if name not in names:
                raise ModelRejected(f"{path / name}: expected this file of a bundle, found none")
        for name in sorted(names.difference(BUNDLE_FILES)):
            raise ModelRejected(f"{path / name}: expected only {', '.join(BUNDLE_FILES)} in a bundle, got this as well")
        return {name: _read_file(directory, path, name) for name in BUNDLE_FILES}
    finally:
        os.close(directory)


def _read_file(directory: int, path: Path, name: str) -> bytes:
    """Read one file of the open directory: the descriptor that is checked is the one that is read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # no symlinks; opening a named pipe must not wait
    try:
        with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelRejected(f"{path / name}: expected a regular file, got something else")
            content = file.read(MAX_BYTES[name] + 1)
    except OSError as error:
        raise ModelRejected(f"{path / name}: expected a regular file that can be read, got: {error.strerror}") from None
    if len(content) > MAX_BYTES[name]:
        raise ModelRejected(f"{path / name}: expected at most {MAX_BYTES[name]} bytes, got more")
    return content


def _read_statement(path: Path, files: dict[str, bytes]) -> SignatureFile:
    try:
        signature, signed = read_signature(files[SIGNATURE_FILE])
    except OmsError as error:
        raise ModelRejected(f"{path / SIGNATURE_FILE}: {error}") from None
    if sorted(signed) != sorted(DIGESTED_FILES):
        raise ModelRejected(f"{path / SIGNATURE_FILE}: expected a signature over {' and '.join(DIGESTED_FILES)} alone")
    for name in DIGESTED_FILES:
        if hashlib.sha256(files[name]).hexdigest() != signed[name]:
            raise ModelRejected(
                f"{path / name}: expected the bytes that were signed, SHA-256 {signed[name]}, got others"
            )
    return signature


def _check_signature(path: Path, files: dict[str, bytes], signature: SignatureFile, public_key: Path) -> None:
    """Let the library verify, on a private copy of what was read.

    It reads paths only, so it gets the bytes of ours that were read and not the directory, which may change under us.
    The signature is written out again from its parsed form: what the library reads is what step 2 read.
    """
    try:
        with public_key.open("rb") as file:
            key = file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise ModelRejected(f"{public_key}: expected the public signing key, got: {error.strerror}") from None
    try:
        with tempfile.TemporaryDirectory(prefix="cardiosentry-verify-") as directory:
            work = Path(directory)
            (work / "bundle").mkdir()
            for name in DIGESTED_FILES:
                (work / "bundle" / name).write_bytes(files[name])
            (work / SIGNATURE_FILE).write_bytes(encode_signature(signature))
            (work / "key.pub").write_bytes(key)
            _run_library(work, path / SIGNATURE_FILE, public_key)
    except OSError as error:
        raise ModelRejected(
            f"{path}: expected a temporary directory to verify in (TMPDIR), got: {error.strerror}"
        ) from None


def _run_library(work: Path, signature: Path, public_key: Path) -> None:
    """Verify work/bundle; `signature` and `public_key` are the names for people."""
    verifier = verifying.Config()  # type: ignore[no-untyped-call]  # the library types its results only
    try:
        verifier.use_elliptic_key_verifier(public_key=work / "key.pub")
    except (ValueError, AttributeError, UnsupportedAlgorithm):  # not PEM or another curve; not an elliptic-curve key
        raise ModelRejected(f"{public_key}: expected an elliptic-curve public key in PEM") from None
    try:
        verifier.verify(work / "bundle", work / SIGNATURE_FILE)
    except (ValueError, InvalidSignature):
        raise ModelRejected(
            f"{signature}: expected a valid signature by the private half of {public_key}, got another"
        ) from None
