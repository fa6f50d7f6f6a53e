"""A CSV file comes into a snapshot if a signer of the trust root signed exactly it, and not otherwise."""

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import UserError
from contracts.heart_disease import HEART_DISEASE
from models.bundle import SIGNATURE_FILE
from models.dataset import DATA_FILE, load_dataset
from models.keyfile import KeyFile
from models.pipeline.check import Report
from models.pipeline.collect import CollectPolicy
from models.pipeline.signed_csv import collect_csv
from models.pipeline.snapshot import Snapshot
from models.roots import make_first_root
from models.sign import PRIVATE_KEY_FILE, generate_signing_key, signer
from models.trust import Trust, first_root
from tests.models.pipeline.collecting import NOW_MS, PRIVATE, SMALL, opened

YEAR_MS = 365 * 86_400_000
Sign = Callable[[Path], None]


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sign, Trust]:
    """A signer, and a trust root that knows her."""
    return person(tmp_path_factory.mktemp("ada"))


def person(directory: Path) -> tuple[Sign, Trust]:
    generate_signing_key(directory)
    key = directory / PRIVATE_KEY_FILE
    return signer(key), first_root(make_first_root(KeyFile.load(key), "Ada", HEART_DISEASE, now_ms=NOW_MS))


def made(directory: Path, content: bytes, sign: Sign) -> Path:
    """Return a directory with the file and its signature."""
    source = directory / "source"
    source.mkdir()
    (source / "data.csv").write_bytes(content)
    sign(source)
    return source


def collected(
    source: Path, trust: Trust, policy: CollectPolicy = SMALL, now_ms: int = NOW_MS
) -> tuple[Snapshot, Report]:
    target = source.parent / "snapshot"
    target.mkdir()
    report = collect_csv(source, target, PRIVATE.public_key(), trust, policy, now_ms=now_ms)
    return opened(target, report), report


def plain(*rows: dict[str, str]) -> bytes:
    """Return a file of a column a feature with these rows, each of a patient of 63 otherwise."""
    names = [*HEART_DISEASE.names, "site", "diagnosis"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows({"age": "63", "site": "st-mary", "diagnosis": "1", **row} for row in rows)
    return text.getvalue().encode()


def test_the_uci_table_comes_in_whole_but_for_rows_that_repeat_others(ada: tuple[Sign, Trust], tmp_path: Path) -> None:
    sign, trust = ada
    snapshot, report = collected(made(tmp_path, DATA_FILE.read_bytes(), sign), trust, CollectPolicy())
    data = load_dataset().distinct()
    rows = snapshot.rows()
    assert report.passed
    assert snapshot.manifest.signed_by == ("Ada",)
    assert snapshot.manifest.made_from == "csv"
    assert len(rows) == len(data)
    assert snapshot.manifest.read == {"data.csv": 920}
    assert snapshot.manifest.left_out == {"data.csv": {"repeated": 920 - len(data)}}
    assert np.isnat(rows.observed_on).all()
    assert len(set(rows.group.tolist())) == len(rows)
    ours, theirs = (np.nan_to_num(np.column_stack([of.x, of.y]), nan=-1.0) for of in (rows, data))
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, theirs.tolist()))
    assert sorted(rows.site.tolist()) == sorted(data.site.tolist())


def test_a_file_of_a_column_a_feature_comes_in(ada: tuple[Sign, Trust], tmp_path: Path) -> None:
    sign, trust = ada
    content = plain({"sex": "1"}, {"sex": "0", "diagnosis": "0", "site": "St Anne"}, {"sex": "1"})
    snapshot, _ = collected(made(tmp_path, content, sign), trust)
    rows = snapshot.rows()
    assert sorted(zip(rows.site.tolist(), rows.y.tolist(), rows.x[:, 1].tolist(), strict=True)) == [
        ("St Anne", 0, 0.0),
        ("st-mary", 1, 1.0),
    ]
    assert np.isnan(rows.x[:, 2:]).all()
    assert snapshot.manifest.left_out == {"data.csv": {"repeated": 1}}


def test_a_file_that_was_changed_after_it_was_signed_is_refused(ada: tuple[Sign, Trust], tmp_path: Path) -> None:
    sign, trust = ada
    source = made(tmp_path, plain({}), sign)
    (source / "data.csv").write_bytes(plain({"diagnosis": "0"}))
    with pytest.raises(UserError, match=r"data\.csv: expected the file that model\.sig is over"):
        collected(source, trust)


def test_a_file_that_a_stranger_signed_is_refused(ada: tuple[Sign, Trust], tmp_path: Path) -> None:
    stranger, _ = person(tmp_path / "keys")
    with pytest.raises(UserError, match="expected a signature by a signer of the trust root"):
        collected(made(tmp_path, plain({}), stranger), ada[1])


def test_a_signature_over_another_name_or_further_files_is_refused(ada: tuple[Sign, Trust], tmp_path: Path) -> None:
    sign, trust = ada
    source = made(tmp_path, plain({}), sign)
    (source / "data.csv").rename(source / "other.csv")
    with pytest.raises(UserError, match="is over, and it alone"):
        collected(source, trust)
    (source / "data.csv").write_bytes(plain({}))
    with pytest.raises(UserError, match="and nothing else"):
        collect_csv(source, tmp_path, PRIVATE.public_key(), trust, SMALL, now_ms=NOW_MS)


def test_a_file_without_signature_or_with_none_of_the_format_is_refused(
    ada: tuple[Sign, Trust], tmp_path: Path
) -> None:
    sign, trust = ada
    source = made(tmp_path, plain({}), sign)
    (source / SIGNATURE_FILE).write_bytes(b"{}")
    with pytest.raises(UserError, match=r"model\.sig: expected an OpenSSF Model Signing file"):
        collected(source, trust)
    (source / SIGNATURE_FILE).unlink()
    with pytest.raises(UserError, match=r"expected model\.sig beside data\.csv; `cardiosentry sign"):
        collect_csv(source, tmp_path, PRIVATE.public_key(), trust, SMALL, now_ms=NOW_MS)


def test_a_trust_root_that_has_ended_vouches_for_no_data(ada: tuple[Sign, Trust], tmp_path: Path) -> None:
    sign, trust = ada
    with pytest.raises(UserError, match="trust root: expected one that has not ended"):
        collected(made(tmp_path, plain({}), sign), trust, now_ms=NOW_MS + YEAR_MS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (plain({}).replace(b"oldpeak", b"old_peak"), r"line 1: expected the columns age, "),
        (plain({}).replace(b"63", b"Jane Doe"), "line 2, column age: expected a number"),
        (plain({}).replace(b"63", b"nan"), "line 2, column age: expected a number"),
        (plain({}, {"age": "400"}), "line 3, column age: expected a value from"),
        (plain({"cp": "9"}), "line 2, column cp: expected a value from"),
        (plain({"diagnosis": "2"}), "line 2, column diagnosis: expected 0"),
        (plain({"site": "Jane\nDoe"}), "column site: expected a name"),
        (plain({}) + b"1,2\r\n", "line 3: expected 15 cells"),
        (plain(), "expected at least one record"),
        (b"", "line 1: expected the columns"),
        (b"a" * 200_000, "expected CSV"),
        (plain({}).replace(b"st-mary", b"\xff"), "expected UTF-8"),
    ],
    ids=["column", "text", "nan", "range", "code", "diagnosis", "site", "short", "none", "empty", "long", "not UTF-8"],
)
def test_what_is_wrong_in_a_file_is_named_and_never_repeated(
    content: bytes, said: str, ada: tuple[Sign, Trust], tmp_path: Path
) -> None:
    sign, trust = ada
    with pytest.raises(UserError, match=said) as error:
        collected(made(tmp_path, content, sign), trust)
    assert "Jane" not in str(error.value)


def test_the_signature_is_one_that_the_public_tool_verifies(ada: tuple[Sign, Trust], tmp_path: Path) -> None:
    from model_signing import hashing, verifying

    source = made(tmp_path, plain({}), ada[0])
    (key,) = ada[1].pems.values()
    (tmp_path / "key.pub").write_bytes(key)
    config = verifying.Config()  # type: ignore[no-untyped-call]
    config.use_elliptic_key_verifier(public_key=tmp_path / "key.pub")
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=[SIGNATURE_FILE], ignore_git_paths=False))  # type: ignore[no-untyped-call]
    shutil.copy(source / SIGNATURE_FILE, tmp_path / SIGNATURE_FILE)
    (source / SIGNATURE_FILE).unlink()
    config.verify(source, tmp_path / SIGNATURE_FILE)
