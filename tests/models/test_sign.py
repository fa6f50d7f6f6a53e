"""Keys and signatures: kept safe, and interchangeable with the model_signing command."""

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from contracts.errors import UserError
from models.bundle import bundle_digest
from models.sign import generate_signing_key, sign_bundle
from models.verify import verify_bundle
from tests.conftest import Trained
from tests.support.process import command


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)


def model_signing(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command that comes with the library."""
    return run(sys.executable, "-m", "model_signing", *arguments)


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


def sign_with_the_command(bundle: Path, private_key: Path) -> None:
    done = model_signing("sign", "key", bundle, "--signature", bundle / "model.sig", "--private_key", private_key)
    assert done.returncode == 0, done.stderr


def verified_by(bundle: Path, public_key: Path) -> tuple[subprocess.CompletedProcess[str], ...]:
    """Return what became of `model_signing verify key` and of `cardiosentry verify`."""
    signature = bundle / "model.sig"
    theirs = model_signing("verify", "key", bundle, "--signature", signature, "--public_key", public_key)
    return theirs, run(*command("verify", str(bundle), "--keys", str(public_key.parent)))


@pytest.fixture
def unsigned(copied: Path) -> Path:
    """A bundle with a further file and without a signature."""
    (copied / "tokenizer.json").write_text("{}")
    (copied / "model.sig").unlink()
    return copied


@pytest.mark.parametrize("sign", [sign_bundle, sign_with_the_command], ids=["ours", "the command's"])
def test_a_signature_of_either_verifies_with_both(
    trained: Trained, unsigned: Path, sign: Callable[[Path, Path], None]
) -> None:
    sign(unsigned, trained.private_key)
    theirs, ours = verified_by(unsigned, trained.public_key)
    assert theirs.returncode == 0, theirs.stderr
    assert ours.returncode == 0, ours.stderr
    assert ours.stdout.split()[-1] == bundle_digest({path.name: path.read_bytes() for path in unsigned.iterdir()})


TAMPERINGS: dict[str, Callable[[Path], object]] = {
    "a model changed": lambda bundle: (bundle / "model.onnx").write_bytes(b"evil"),
    "a further file changed": lambda bundle: (bundle / "tokenizer.json").write_text("[]"),
    "a further file missing": lambda bundle: (bundle / "tokenizer.json").unlink(),
    "a file added": lambda bundle: (bundle / "more.json").write_text("{}"),
    "the signature of another key": lambda bundle: sign_bundle(
        bundle, generate_signing_key(bundle.parent / "foreign")[0]
    ),
}


@pytest.mark.parametrize("case", TAMPERINGS)
def test_a_bundle_that_was_tampered_with_is_refused_by_both(trained: Trained, unsigned: Path, case: str) -> None:
    sign_with_the_command(unsigned, trained.private_key)
    TAMPERINGS[case](unsigned)
    theirs, ours = verified_by(unsigned, trained.public_key)
    assert (theirs.returncode, ours.returncode) == (1, 1)
    assert "Verification failed" in theirs.stderr
    assert ours.stderr.startswith(f"error: {unsigned}")


def test_signing_twice_gives_two_signatures_and_one_digest(trained: Trained, copied: Path) -> None:
    before = (copied / "model.sig").read_bytes()
    sign_bundle(copied, trained.private_key)
    assert (copied / "model.sig").read_bytes() != before
    assert verify_bundle(copied, trained.public_key).digest == trained.digest


def test_a_bundle_at_a_relative_path_is_signed_anew_without_its_old_signature(
    trained: Trained, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied.parent)
    sign_bundle(Path(copied.name), trained.private_key)
    assert verify_bundle(copied, trained.public_key).digest == trained.digest


def test_a_key_that_is_no_elliptic_curve_key_is_refused(copied: Path, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for content in (pem, b"garbage"):
        (tmp_path / "wrong.key").write_bytes(content)
        with pytest.raises(UserError, match=r"wrong.key: expected an elliptic-curve private key in PEM"):
            sign_bundle(copied, tmp_path / "wrong.key")
