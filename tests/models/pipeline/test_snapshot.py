"""A snapshot opens as it was written, or says which file is not what it should be."""

import os
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from contracts.errors import UserError
from contracts.heart_disease import HEART_DISEASE
from models.pipeline.check import Report
from models.pipeline.collect import Scored
from models.pipeline.sealed import CHUNK_BYTES, seal_for
from models.pipeline.snapshot import MANIFEST_FILE, Snapshot, SnapshotWriter, rows_file, schema_of
from models.pipeline.touched import row_id
from models.sealing import PrivateKey
from tests.models.pipeline.collecting import (
    KEY,
    NOW_MS,
    PRIVATE,
    SeenEvent,
    SeenOutcome,
    collect,
    event,
    event_id,
    opened,
    outcome,
)

OLD_MS = NOW_MS - 3_600_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A snapshot of thirty rows."""
    directory = tmp_path_factory.mktemp("made")
    numbers = range(30)
    _, report = collect(
        directory,
        [SeenEvent(event(number, who=number % 4)) for number in numbers],
        [SeenOutcome(outcome(number, who=number % 4, diagnosis=number % 2), OLD_MS) for number in numbers],
        [Scored(event_id(number), OLD_MS) for number in numbers],
        records=100_000,
    )
    return directory / "snapshot", report


@pytest.fixture
def copied(made: tuple[Path, Report], tmp_path: Path) -> tuple[Path, Report]:
    """A copy of it, to change."""
    return Path(shutil.copytree(made[0], tmp_path / "snapshot")), made[1]


def test_it_opens_with_all_its_rows_at_once_or_in_pieces(made: tuple[Path, Report]) -> None:
    snapshot = opened(*made)
    rows = snapshot.rows()
    assert len(rows) == snapshot.manifest.rows == made[1].facts["rows"] == 30
    assert rows.y.sum() == snapshot.manifest.positives == 15
    assert len(set(rows.group.tolist())) == 4
    assert snapshot.manifest.sites == {"uci": 30}
    assert [len(frame) for frame in snapshot.frames()] == [len(frame) for frame in snapshot.frames()]
    assert sum(len(frame) for frame in snapshot.frames()) == 30
    assert rows.x.dtype == np.float32


def test_rows_of_many_chunks_open_too(tmp_path: Path) -> None:
    numbers = range(5000)
    _, report = collect(
        tmp_path,
        [SeenEvent(event(number)) for number in numbers],
        [SeenOutcome(outcome(number), OLD_MS) for number in numbers],
        [Scored(event_id(number), OLD_MS) for number in numbers],
        batch=5000,
    )
    (path,) = (tmp_path / "snapshot").glob("*.sealed")
    assert path.stat().st_size > CHUNK_BYTES
    assert opened(tmp_path / "snapshot", report).rows().row_id.tolist() == sorted(map(row_id, map(event_id, numbers)))


def test_a_snapshot_without_rows_opens_too(tmp_path: Path) -> None:
    snapshot, report = collect(tmp_path, [], [], [])
    assert len(snapshot.rows()) == 0
    assert snapshot.rows().x.shape == (0, len(HEART_DISEASE.names))
    assert not any(name.startswith("first week") for name in report.facts)


@pytest.mark.parametrize("place", [0, 22, 110, 400, -1])
def test_a_bit_of_the_rows_that_was_flipped_is_refused(place: int, copied: tuple[Path, Report]) -> None:
    directory, report = copied
    (path,) = directory.glob("*.sealed")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="sealed: expected"):
        opened(directory, report)


@pytest.mark.parametrize("bytes_left", [0, 50, 102, 1000, -1])
def test_rows_that_were_cut_are_refused(bytes_left: int, copied: tuple[Path, Report]) -> None:
    directory, report = copied
    (path,) = directory.glob("*.sealed")
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises(UserError, match="sealed: expected"):
        opened(directory, report)


def test_other_rows_that_somebody_sealed_for_our_key_are_refused(copied: tuple[Path, Report]) -> None:
    directory, report = copied
    (path,) = directory.glob("*.sealed")
    with path.open("wb") as file, seal_for(PRIVATE.public_key(), file) as writer:
        writer.write(os.urandom(1000))
    with pytest.raises(UserError, match="expected the rows of the manifest"):
        opened(directory, report)


def test_a_manifest_that_was_changed_is_refused(copied: tuple[Path, Report]) -> None:
    directory, report = copied
    path = directory / MANIFEST_FILE
    path.write_bytes(path.read_bytes().replace(b'"rows": 30', b'"rows": 31'))
    with pytest.raises(UserError, match="expected the manifest sha256"):
        opened(directory, report)


def test_rows_for_another_key_or_table_or_that_are_gone_are_refused(copied: tuple[Path, Report]) -> None:
    directory, report = copied
    digest = "sha256:" + report.files[MANIFEST_FILE]
    other = msgspec.structs.replace(HEART_DISEASE, version=99)
    with pytest.raises(UserError, match="expected rows of the feature table"):
        Snapshot.open(directory, digest, KEY, other)
    with pytest.raises(UserError, match="wrapped for this private key"):
        Snapshot.open(directory, digest, PrivateKey(X25519PrivateKey.generate()), HEART_DISEASE)
    manifest = opened(directory, report).manifest
    (directory / rows_file(manifest)).unlink()
    with pytest.raises(UserError, match="expected the rows of the snapshot"):
        opened(directory, report)


def test_rows_that_change_after_they_were_verified_are_refused(copied: tuple[Path, Report]) -> None:
    directory, report = copied
    snapshot = opened(directory, report)
    (path,) = directory.glob("*.sealed")
    with path.open("r+b") as file:
        file.seek(200)
        file.write(bytes(100))
    # What is small is in memory already; a chunk that has to be read again is authenticated again.
    snapshot._sealed._open = -1
    with pytest.raises(UserError, match="sealed: expected chunk"):
        snapshot.rows()


def test_what_was_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), SnapshotWriter(tmp_path, HEART_DISEASE, PRIVATE.public_key()):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_rows_come_in_their_order_each_once(tmp_path: Path) -> None:
    frame = schema_of(HEART_DISEASE).empty_table().to_pandas().reindex(range(2))
    frame = frame.assign(site="uci", group="g", diagnosis=1, observed_on=None)
    with SnapshotWriter(tmp_path, HEART_DISEASE, PRIVATE.public_key()) as writer:
        for ids in (["b", "a"], ["a", "a"]):
            with pytest.raises(ValueError, match="ids that rise"):
                writer.add(frame.assign(row_id=ids))
