"""Stores: what comes out is what was asked for, or nothing."""

import hashlib
import os
from pathlib import Path

import pytest

from contracts.errors import ModelRejected, RetryableError, UserError
from models.store import DirectoryStore

CONTENT = b"a model"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def place(tmp_path: Path) -> Path:
    return tmp_path / "store" / SHA256[:2] / SHA256


def test_what_was_put_comes_out_by_its_digest(store: DirectoryStore) -> None:
    assert store.put(CONTENT) == SHA256
    assert store.get(SHA256, len(CONTENT)) == CONTENT


def test_a_file_that_is_there_stays_and_nothing_else_is_left(store: DirectoryStore, tmp_path: Path) -> None:
    store.put(CONTENT)
    before = place(tmp_path).stat()
    store.put(CONTENT)
    assert place(tmp_path).stat().st_ino == before.st_ino
    assert before.st_mode & 0o777 == 0o444
    assert os.listdir(place(tmp_path).parent) == [SHA256]


@pytest.mark.parametrize("content", [b"another", b"a modem", b"a model and more", b""], ids=repr)
def test_other_bytes_under_its_name_are_refused(store: DirectoryStore, tmp_path: Path, content: bytes) -> None:
    place(tmp_path).parent.mkdir(parents=True)
    place(tmp_path).write_bytes(content)
    with pytest.raises(ModelRejected, match=f"expected the 7 bytes of {SHA256}"):
        store.get(SHA256, len(CONTENT))


def test_an_endless_file_is_read_no_further_than_its_size(store: DirectoryStore, tmp_path: Path) -> None:
    place(tmp_path).parent.mkdir(parents=True)
    with place(tmp_path).open("wb") as file:
        file.truncate(10 * 1024**3)
    with pytest.raises(ModelRejected):
        store.get(SHA256, len(CONTENT))


@pytest.mark.parametrize("what", ["nothing", "symlink", "directory", "pipe without a writer"])
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


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="expected a store that can be written"):
        DirectoryStore(tmp_path / "file").put(CONTENT)
