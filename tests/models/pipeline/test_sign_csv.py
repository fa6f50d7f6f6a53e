"""`cardiosentry sign` vouches for what `retrain --from-csv` takes, and for nothing else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.keyfiles import generate_keys
from cli.main import cardiosentry, main
from contracts.errors import UserError
from models.bundle import SIGNATURE_FILE
from models.dataset import DATA_FILE
from models.pipeline import signed_csv
from models.pipeline.collect import CollectPolicy
from models.pipeline.signed_csv import collect_csv, sign_csv
from models.roots import read_root
from models.sign import PRIVATE_KEY_FILE, generate_signing_key, signer
from tests.models.pipeline.collecting import PRIVATE
from tests.models.pipeline.test_signed_csv import plain


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    list(generate_keys(directory, (), signer="Ada"))
    return directory


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory of a file of two patients."""
    made = tmp_path / "november"
    made.mkdir()
    (made / "data.csv").write_bytes(plain({}, {"diagnosis": "0"}))
    return made


def sign(source: Path, keys: Path, *options: str) -> Result:
    return CliRunner().invoke(cardiosentry, ["sign", str(source), f"--keys={keys}", *options])


def test_what_it_signs_is_collected_and_says_who_signed(keys: Path, source: Path, tmp_path: Path) -> None:
    (source / "data.csv").write_bytes(DATA_FILE.read_bytes())
    for _ in range(2):  # a signature that is there is replaced
        done = sign(source, keys)
        assert done.exit_code == 0, done.output + str(done.exception)
        assert done.output == (
            f"signed {source}/data.csv as Ada: 920 rows, 2 of which repeat another and will be left out\n"
        )
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    trust = read_root(keys)
    now_ms = trust.root.created_at
    report = collect_csv(source, snapshot, PRIVATE.public_key(), trust, CollectPolicy(), now_ms=now_ms)
    assert report.facts["rows"] == 918


def empty(source: Path) -> None:
    (source / "data.csv").unlink()


def second_file(source: Path) -> None:
    (source / "notes.txt").write_text("Jane")


def link(source: Path) -> None:
    (source / "data.csv").rename(source.parent / "elsewhere.csv")
    (source / "data.csv").symlink_to(source.parent / "elsewhere.csv")


def directory(source: Path) -> None:
    empty(source)
    (source / "data.csv").mkdir()


def name_in_a_cell(source: Path) -> None:
    (source / "data.csv").write_bytes(plain({"age": "Jane Doe"}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (empty, "november: expected one CSV file"),
        (second_file, "november: expected one CSV file"),
        (link, "which is no link"),
        (directory, "expected a file that can be read"),
        (name_in_a_cell, "data.csv, line 2, column age: expected a number"),
        (shutil.rmtree, "november: expected a directory of one CSV file"),
    ],
    ids=lambda case: case.__name__ if callable(case) else "",
)
def test_what_collection_would_refuse_is_not_signed(
    spoil: Callable[[Path], None], said: str, keys: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(source)
    with pytest.raises(SystemExit) as ended:
        main(["sign", str(source), f"--keys={keys}"])
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert told.startswith("error: ")
    assert said in told
    assert "Jane" not in told
    assert not (source / SIGNATURE_FILE).exists()


def test_a_key_that_the_trust_root_does_not_know_signs_nothing(keys: Path, source: Path, tmp_path: Path) -> None:
    stranger, _ = generate_signing_key(tmp_path / "stranger")
    done = sign(source, keys, f"--key={stranger}")
    assert "expected the key of a signer of the trust root" in str(done.exception)
    assert not (source / SIGNATURE_FILE).exists()


def test_under_a_trust_root_that_has_ended_nothing_is_signed(keys: Path, source: Path) -> None:
    trust = read_root(keys)
    with pytest.raises(UserError, match="expected one that has not ended"):
        sign_csv(source, keys / PRIVATE_KEY_FILE, None, trust, now_ms=trust.root.expires_at)
    assert not (source / SIGNATURE_FILE).exists()


def test_a_file_that_is_written_to_meanwhile_is_left_without_a_signature(
    keys: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(private_key: Path, passphrase: bytes | None) -> Callable[[Path], None]:
        (source / "data.csv").write_bytes(plain({}))
        return signer(private_key, passphrase)

    monkeypatch.setattr(signed_csv, "signer", late)
    done = sign(source, keys)
    assert "got one that changed while it was signed" in str(done.exception)
    assert not (source / SIGNATURE_FILE).exists()
