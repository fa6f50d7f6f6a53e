"""Signing keys in files, plain and encrypted, and what is said of those that cannot be used."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cardiosentry
from contracts.errors import UserError
from models.dsse import encode_envelope, key_id, open_envelope, read_public_key, seal, signers_of
from models.keyfile import KeyFile
from models.roots import read_root
from models.sign import generate_signing_key, signer
from models.verify import verify_bundle
from tests.conftest import Trained

PASSPHRASE = b"correct horse battery staple"


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["plain", "encrypted"])
def test_what_a_key_signs_its_public_half_verifies(tmp_path: Path, passphrase: bytes | None) -> None:
    private, public = generate_signing_key(tmp_path, passphrase)
    assert (b"ENCRYPTED" in private.read_bytes()) == (passphrase is not None)
    key = KeyFile.load(private, passphrase)
    envelope = open_envelope(encode_envelope(seal("text/plain", b"yes", [key])), max_bytes=10_000)
    known = read_public_key(public.read_bytes())
    assert signers_of(envelope, {key_id(known): known}) == {key_id(known)}


def test_a_key_that_cannot_be_used_is_named_with_what_it_wants(tmp_path: Path) -> None:
    plain, _ = generate_signing_key(tmp_path / "plain")
    encrypted, _ = generate_signing_key(tmp_path / "encrypted", PASSPHRASE)
    for path, passphrase, said in (
        (plain, PASSPHRASE, "expected no passphrase for a plain key"),
        (encrypted, None, "expected a passphrase for this encrypted key"),
        (encrypted, b"wrong", "and its passphrase"),
        (tmp_path / "none.key", None, "expected a private signing key"),
    ):
        with pytest.raises(UserError, match=f"{path}: .*{said}"):
            KeyFile.load(path, passphrase)


def test_a_bundle_is_signed_with_an_encrypted_key(trained: Trained, copied: Path, tmp_path: Path) -> None:
    private, public = generate_signing_key(tmp_path / "keys", PASSPHRASE)
    signer(private, PASSPHRASE)(copied)
    assert verify_bundle(copied, public).digest == trained.digest
    with pytest.raises(UserError, match="in PEM and its passphrase"):
        signer(private)


def test_keys_are_generated_encrypted_and_the_trust_root_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_SIGNING_PASSPHRASE", PASSPHRASE.decode())
    keys = tmp_path / "keys"
    done = CliRunner().invoke(cardiosentry, ["keys", "generate", str(keys), "--encrypt", "--signer", "Ada"])
    assert done.exit_code == 0, done.output
    assert b"ENCRYPTED" in (keys / "model-signing.key").read_bytes()
    assert [each.name for each in read_root(keys).root.signers.values()] == ["Ada", "retraining"]
    shutil.rmtree(keys)
