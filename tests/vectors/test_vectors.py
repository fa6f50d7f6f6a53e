"""What any version signed verifies for ever, and what it saw refused is refused for ever."""

import hashlib
import shutil
from pathlib import Path

import pytest

from contracts.errors import ModelRejected
from contracts.releases import DAY_MS, ROLES
from models.dsse import public_pem
from models.keyfile import KeyFile
from models.lifecycle import stages
from models.release_log import ReleaseLog
from models.store import DirectoryStore
from models.trust import first_root
from models.verify import read_bundle
from stream_app.decode import Decoder
from stream_app.loading import Loader
from tests.stream_app.support import CHECKS
from tests.vectors.index import FIRST_ROOT, INDEX_FILE, Index, Record, paths_in, read_index
from tests.vectors.write import VECTORS, product_version, write

VERSIONS = sorted(path.parent for path in VECTORS.glob(f"*/{INDEX_FILE}"))


def check(directory: Path, scratch: Path) -> None:
    """Fail unless the vectors are the bytes that were written, and are judged as they were then."""
    index = read_index(directory)
    found = {path: hashlib.sha256((directory / path).read_bytes()).hexdigest() for path in paths_in(directory)}
    assert found == index.files
    log = ReleaseLog(first_root((directory / FIRST_ROOT).read_bytes()))
    assert [judged(log, directory, record) for record in index.records] == list(index.records)
    assert log.candidates("champion", now_ms=index.clock_ms)[0].digest == index.champion
    assert not log.candidates("champion", now_ms=index.clock_ms + 400 * DAY_MS)
    assert stages(log.entries, shadows=1) == index.stages
    check_bundles(directory, index, log, DirectoryStore(scratch))
    key = KeyFile.load(directory / index.key, index.passphrase.encode())
    assert public_pem(key.public_key) == (directory / index.public_key).read_bytes()


def judged(log: ReleaseLog, directory: Path, record: Record) -> Record:
    """Return what becomes of the record's file in the log."""
    try:
        entry = log.read((directory / record.file).read_bytes())
    except ModelRejected:
        return Record(record.file, "refused")
    assert entry is not None, f"{record.file}: expected a record that the log has not read, got one again"
    return Record(record.file, "accepted", entry.signed_by)


def check_bundles(directory: Path, index: Index, log: ReleaseLog, store: DirectoryStore) -> None:
    """Fail unless every release loads, as a worker loads it, to the bundle that was released."""
    for name in index.bundles:
        for content in read_bundle(directory / name).values():
            store.put(content)
    load = Loader(store, log, lambda event: Decoder(event, "observed_at", require_mac=True, **CHECKS))
    releases = [release for role in ROLES for release in log.releases(role)]
    assert {load(release).bundle.digest for release in releases} == set(index.bundles.values())


@pytest.mark.parametrize("directory", VERSIONS, ids=lambda path: path.name)
def test_what_a_version_signed_is_judged_as_it_was_then(directory: Path, tmp_path: Path) -> None:
    check(directory, tmp_path)


def test_the_version_in_hand_has_vectors() -> None:
    assert product_version() in [path.name for path in VERSIONS]


def test_what_would_be_written_now_verifies_and_no_signers_key_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "made")
    check(tmp_path / "made", tmp_path / "store")
    kept = [path for path in paths_in(tmp_path / "made") if b"PRIVATE KEY" in (tmp_path / "made" / path).read_bytes()]
    assert kept == ["throw-away-key/model-signing.key"]
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in (tmp_path / "made" / kept[0]).read_bytes()


@pytest.mark.parametrize(
    ("directory", "path"),
    [(directory, path) for directory in VERSIONS for path in paths_in(directory)],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_a_byte_that_changes_is_noticed(directory: Path, path: str, tmp_path: Path) -> None:
    copied = shutil.copytree(directory, tmp_path / "copied")
    content = bytearray((copied / path).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / path).write_bytes(content)
    with pytest.raises(AssertionError):
        check(copied, tmp_path / "store")
