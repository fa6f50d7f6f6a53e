"""The memory of releases: what was written is read, and damage costs what stands after it."""

from pathlib import Path

import pytest

from contracts.errors import UserError
from stream_app.release_memory import ReleaseMemory, Remembered

ENTRIES = [Remembered(0, b"first"), Remembered(4, b"\x00\xff\n"), Remembered(5, b"third")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "worker.releases"


def test_what_was_remembered_is_read(path: Path) -> None:
    assert list(ReleaseMemory(path).read()) == []
    ReleaseMemory(path).replace(ENTRIES)
    assert list(ReleaseMemory(path).read()) == ENTRIES
    ReleaseMemory(path).replace(ENTRIES[:1])
    assert list(ReleaseMemory(path).read()) == ENTRIES[:1]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("keep", range(0, 120, 7))
def test_a_damaged_line_and_what_follows_are_left_out(path: Path, keep: int) -> None:
    ReleaseMemory(path).replace(ENTRIES)
    path.write_bytes(path.read_bytes()[:keep])
    found = list(ReleaseMemory(path).read())
    assert found == ENTRIES[: len(found)]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(UserError, match=r"worker.releases: expected a file that can be written"):
        ReleaseMemory(tmp_path / "state" / "worker.releases").replace(ENTRIES)
    (tmp_path / "directory").mkdir()
    with pytest.raises(UserError, match="expected the memory of releases"):
        list(ReleaseMemory(tmp_path / "directory").read())
