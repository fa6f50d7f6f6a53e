"""Keys and signatures: kept safe, and interchangeable with the model_signing command."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from contracts.errors import UserError
from models.sign import generate_signing_key, sign_bundle
from models.verify import verify_bundle
from tests.conftest import Trained


def model_signing(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command that comes with the library."""
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_private_key_is_its_owners_alone(tmp_path: Path) -> None:
    private, public = generate_signing_key(tmp_path / "keys")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert b"PRIVATE" not in public.read_bytes()


@pytest.mark.parametrize("name", ["model-signing.key", "model-signing.pub"])
def test_a_key_that_is_there_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious", encoding="utf-8")
    with pytest.raises(UserError, match=f"{name}: expected no such file"):
        generate_signing_key(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "precious"


def test_the_command_verifies_our_signature(trained: Trained) -> None:
    done = model_signing(
        "verify", "key", trained.bundle, "--signature", trained.bundle / "model.sig", "--public_key", trained.public_key
    )
    assert done.returncode == 0, done.stderr


def test_we_verify_the_commands_signature(trained: Trained, copied: Path) -> None:
    signature = copied / "model.sig"
    signature.unlink()
    done = model_signing("sign", "key", copied, "--signature", signature, "--private_key", trained.private_key)
    assert done.returncode == 0, done.stderr
    assert verify_bundle(copied, trained.public_key).digest == trained.digest


def test_signing_twice_gives_two_signatures_and_one_digest(trained: Trained, copied: Path) -> None:
    before = (copied / "model.sig").read_bytes()
    sign_bundle(copied, trained.private_key)
    assert (copied / "model.sig").read_bytes() != before
    assert verify_bundle(copied, trained.public_key).digest == trained.digest


def test_a_key_that_is_no_elliptic_curve_key_is_refused(copied: Path, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for content in (pem, b"garbage"):
        (tmp_path / "wrong.key").write_bytes(content)
        with pytest.raises(UserError, match=r"wrong.key: expected an elliptic-curve private key in PEM"):
            sign_bundle(copied, tmp_path / "wrong.key")
