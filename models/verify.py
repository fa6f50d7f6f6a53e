"""Verification of a bundle: the only way from a directory to a model that scores.

The steps, in this order, each on the bytes that were read once and that are handed on:

1. The directory holds the three files of a bundle, further ones with plain names, and nothing else; each is a regular
   file within its size limit.
2. The signature file is an OMS bundle with one signature, whose statement names every other file, and no others, with
   the SHA-256 of the bytes that were read.
3. The statement is signed by one of the given keys (checked by OpenSSF's model_signing).
4. The manifest parses strictly, under a format that we know.
5. The graph holds what models/artefact.py allows and nothing else: no operator that is not listed, no other file.
6. The graph loads, reads what the feature table names, gives probabilities, and for the manifest's reference rows the
   manifest's own.

A signature has no date and no expiry: which version may be loaded is a release's business, not a bundle's.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from model_signing import hashing, verifying

from contracts.errors import ModelRejected
from contracts.releases import FILE_NAME
from models import artefact
from models.bundle import (
    BUNDLE_FILES,
    MANIFEST_FILE,
    MAX_FILES,
    MODEL_FILE,
    SIGNATURE_FILE,
    Manifest,
    bundle_digest,
    decode_manifest,
    digested,
    max_bytes,
)
from models.oms import OmsError, SignatureFile, encode_signature, read_signature
from models.probe import probe

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
    files = read_bundle(path)
    try:
        with public_key.open("rb") as file:
            key = file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise ModelRejected(f"{public_key}: expected the public signing key, got: {error.strerror}") from None
    return verify_files(files, {str(public_key): key}, where=path)


def verify_files(files: Mapping[str, bytes], keys: Mapping[str, bytes], *, where: Path) -> VerifiedBundle:
    """Verify a bundle's files by one of `keys`, PEM by name; `where` is what errors call their directory."""
    signature = _read_statement(where, files)  # 2
    _check_signature(where, files, signature, keys)  # 3
    try:  # 4
        manifest = decode_manifest(files[MANIFEST_FILE])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRejected(f"{where / MANIFEST_FILE}: expected a manifest of format 1, got: {error}") from None
    if manifest.model_bytes != len(files[MODEL_FILE]):
        raise ModelRejected(
            f"{where / MODEL_FILE}: expected {manifest.model_bytes} bytes by the manifest, got {len(files[MODEL_FILE])}"
        )
    fault = artefact.fault(files[MODEL_FILE]) or probe(manifest, files[MODEL_FILE])  # 5, 6
    if fault is not None:
        raise ModelRejected(f"{where / MODEL_FILE}: {fault}")
    return VerifiedBundle(manifest, bundle_digest(files), files[MODEL_FILE])


def read_bundle(path: Path) -> dict[str, bytes]:
    """Return the files of the directory at `path`, unverified but within the limits (step 1)."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ModelRejected(f"{path}: expected a bundle's directory, got: {error.strerror}") from None
    try:
        names = sorted(os.listdir(directory))
        for name in BUNDLE_FILES:
            if name not in names:
                raise ModelRejected(f"{path / name}: expected this file of a bundle, found none")
        for name in names:
            if not FILE_NAME.fullmatch(name):
                raise ModelRejected(f"{path / name}: expected a plain file name in a bundle, got another")
        if len(names) > MAX_FILES:
            raise ModelRejected(f"{path}: expected at most {MAX_FILES} files in a bundle, got {len(names)}")
        return {name: _read_file(directory, path, name) for name in names}
    finally:
        os.close(directory)


def _read_file(directory: int, path: Path, name: str) -> bytes:
    """Read one file of the open directory: the descriptor that is checked is the one that is read."""
    limit = max_bytes(name)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # no symlinks; opening a named pipe must not wait
    try:
        with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelRejected(f"{path / name}: expected a regular file, got something else")
            content = file.read(limit + 1)
    except OSError as error:
        raise ModelRejected(f"{path / name}: expected a regular file that can be read, got: {error.strerror}") from None
    if len(content) > limit:
        raise ModelRejected(f"{path / name}: expected at most {limit} bytes, got more")
    return content


def _read_statement(path: Path, files: Mapping[str, bytes]) -> SignatureFile:
    try:
        signature, signed = read_signature(files[SIGNATURE_FILE])
    except OmsError as error:
        raise ModelRejected(f"{path / SIGNATURE_FILE}: {error}") from None
    for name in sorted(signed.keys() - files.keys() | signed.keys() & {SIGNATURE_FILE}):
        raise ModelRejected(f"{path / SIGNATURE_FILE}: expected a signature over the files here, got one over {name!r}")
    for name in digested(files):
        if name not in signed:
            raise ModelRejected(f"{path / name}: expected a file that the signature is over, got another")
        if hashlib.sha256(files[name]).hexdigest() != signed[name]:
            raise ModelRejected(
                f"{path / name}: expected the bytes that were signed, SHA-256 {signed[name]}, got others"
            )
    return signature


def _check_signature(
    path: Path, files: Mapping[str, bytes], signature: SignatureFile, keys: Mapping[str, bytes]
) -> None:
    """Let the library verify, on a private copy of what was read.

    It reads paths only, so it gets the bytes of ours that were read and not the directory, which may change under us.
    The signature is written out again from its parsed form: what the library reads is what step 2 read.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="cardiosentry-verify-") as directory:
            work = Path(directory)
            (work / "bundle").mkdir()
            for name in digested(files):
                (work / "bundle" / name).write_bytes(files[name])
            (work / SIGNATURE_FILE).write_bytes(encode_signature(signature))
            for name, key in keys.items():
                (work / "key.pub").write_bytes(key)
                if _holds(work, name):
                    return
    except OSError as error:
        raise ModelRejected(
            f"{path}: expected a temporary directory to verify in (TMPDIR), got: {error.strerror}"
        ) from None
    raise ModelRejected(
        f"{path / SIGNATURE_FILE}: expected a valid signature by the private half of {' or '.join(keys)}, got another"
    )


def _holds(work: Path, key_name: str) -> bool:
    """Verify work/bundle by work/key.pub; `key_name` is the key's name for people."""
    verifier = verifying.Config()  # type: ignore[no-untyped-call]  # the library types its results only
    # Git's files count as any others, as they do when a bundle is signed.
    verifier.set_hashing_config(hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False))  # type: ignore[no-untyped-call]
    try:
        verifier.use_elliptic_key_verifier(public_key=work / "key.pub")
    except (ValueError, AttributeError, UnsupportedAlgorithm):  # not PEM or another curve; not an elliptic-curve key
        raise ModelRejected(f"{key_name}: expected an elliptic-curve public key in PEM") from None
    try:
        verifier.verify(work / "bundle", work / SIGNATURE_FILE)
    except (ValueError, InvalidSignature):
        return False
    return True
