"""Stores: what comes out is what was asked for, or nothing. The first tests are for every store."""

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ModelRejected, RetryableError, UserError
from models.store import DirectoryStore, Store, open_store
from tests.support.s3 import ADMINISTRATOR, RELEASER, WORKER, S3Server

CONTENT = b"a model"
SHA256 = hashlib.sha256(CONTENT).hexdigest()

_buckets = count(1)


@dataclass(frozen=True)
class Kept:
    """A store that may be written, the same one for somebody who may not, and ways around both.

    `write` puts any bytes where CONTENT belongs; `whose` tells one writing of it from another.
    """

    store: Store
    unwritable: Callable[[], Store]
    write: Callable[[bytes], object]
    whose: Callable[[], object]


def in_directory(tmp_path: Path) -> Kept:
    def unwritable() -> Store:
        (tmp_path / "file").write_bytes(b"")
        return open_store(str(tmp_path / "file"))

    def write(content: bytes) -> None:
        place(tmp_path).parent.mkdir(parents=True)
        place(tmp_path).write_bytes(content)

    return Kept(open_store(str(tmp_path / "store")), unwritable, write, lambda: place(tmp_path).stat().st_ino)


def in_bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Kept:
    bucket, administrator = f"models-{next(_buckets)}", s3.client(ADMINISTRATOR)
    s3.make_bucket(bucket, lock=False)

    def opened_by(user: str) -> Store:
        for name, value in s3.environment(user).items():
            monkeypatch.setenv(name, value)
        return open_store(f"s3://{bucket}/released")

    name = f"released/{SHA256[:2]}/{SHA256}"
    mark: dict[str, Any] = {"whose": "the test's"}
    return Kept(
        opened_by(RELEASER),
        lambda: opened_by(WORKER),
        lambda content: administrator.put_object(bucket, name, io.BytesIO(content), len(content), metadata=mark),
        lambda: (administrator.stat_object(bucket, name).metadata or {}).get("x-amz-meta-whose"),
    )


@pytest.fixture(params=["directory", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    if request.param == "directory":
        return in_directory(tmp_path)
    return in_bucket(request.getfixturevalue("s3"), monkeypatch)


@pytest.mark.parametrize("content", [CONTENT, b"", bytes(12_000_000)], ids=["small", "empty", "12 MB"])
def test_what_was_put_comes_out_by_its_digest(kept: Kept, content: bytes) -> None:
    sha256 = kept.store.put(content)
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert kept.store.get(sha256, len(content)) == content


def test_a_file_that_is_there_stays_as_it_is(kept: Kept) -> None:
    kept.write(CONTENT)
    before = kept.whose()
    assert before is not None
    assert kept.store.put(CONTENT) == SHA256
    assert kept.whose() == before


@pytest.mark.parametrize("content", [b"another", b"a modem", b"a model and more", b""], ids=repr)
def test_other_bytes_under_its_name_are_refused(kept: Kept, content: bytes) -> None:
    kept.write(content)
    with pytest.raises(ModelRejected, match=f"expected the 7 bytes of {SHA256}"):
        kept.store.get(SHA256, len(CONTENT))


def test_a_file_that_is_not_there_may_come_later(kept: Kept) -> None:
    with pytest.raises(RetryableError, match=f"expected the file {SHA256}, got: "):
        kept.store.get(SHA256, len(CONTENT))
    kept.store.put(CONTENT)
    assert kept.store.get(SHA256, len(CONTENT)) == CONTENT


def test_a_store_that_cannot_be_written_says_so(kept: Kept) -> None:
    with pytest.raises(UserError, match=r"expected (a store that can be written|to write)"):
        kept.unwritable().put(CONTENT)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def place(tmp_path: Path) -> Path:
    return tmp_path / "store" / SHA256[:2] / SHA256


def test_a_file_in_a_directory_is_read_only_and_nothing_else_is_left(store: DirectoryStore, tmp_path: Path) -> None:
    store.put(CONTENT)
    store.put(CONTENT)
    assert place(tmp_path).stat().st_mode & 0o777 == 0o444
    assert os.listdir(place(tmp_path).parent) == [SHA256]


def test_an_endless_file_is_read_no_further_than_its_size(store: DirectoryStore, tmp_path: Path) -> None:
    place(tmp_path).parent.mkdir(parents=True)
    with place(tmp_path).open("wb") as file:
        file.truncate(10 * 1024**3)
    with pytest.raises(ModelRejected):
        store.get(SHA256, len(CONTENT))


@pytest.mark.parametrize("what", ["symlink", "directory", "pipe without a writer"])
def test_what_is_no_file_may_become_one(store: DirectoryStore, tmp_path: Path, what: str) -> None:
    place(tmp_path).parent.mkdir(parents=True)
    match what:
        case "symlink":
            (tmp_path / "elsewhere").write_bytes(CONTENT)
            place(tmp_path).symlink_to(tmp_path / "elsewhere")
        case "directory":
            place(tmp_path).mkdir()
        case "pipe without a writer":
            os.mkfifo(place(tmp_path))
            with pytest.raises(ModelRejected):
                store.get(SHA256, len(CONTENT))
            return
    with pytest.raises(RetryableError, match="expected the file"):
        store.get(SHA256, len(CONTENT))


@pytest.mark.parametrize(
    "text", ["gs://models", "s3://", "s3://UPPER", "s3://key:hunter2@models/x", "s3://models?hunter2"]
)
def test_what_is_no_store_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UserError, match=r"^store: expected ") as caught:
        open_store(text)
    assert "hunter2" not in str(caught.value)
