"""index.json of a version's vectors: every file's digest, and what a verifier must make of the files."""

from pathlib import Path
from typing import Literal

import msgspec

from contracts.releases import Digest, Sha256
from models.lifecycle import Stage

INDEX_FILE = "index.json"
FIRST_ROOT = "trust-root-1.json"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record of the release log in its place: the verdict, and by whom it is signed as far as the trust root knows.

    A file may stand in several places: what one trust root refuses the next one may accept.
    """

    file: str
    verdict: Literal["accepted", "refused"]
    signed_by: tuple[str, ...] = ()


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a version left behind.

    `clock_ms` (epoch ms) is when to verify. The log begins under trust-root-1.json and holds `records`; after it the
    bundle `champion` is live and each bundle has its stage. `passphrase` opens `key`, `public_key` is its public half.
    """

    clock_ms: int
    files: dict[str, Sha256]
    bundles: dict[str, Digest]
    records: tuple[Record, ...]
    champion: Digest
    stages: dict[Digest, Stage]
    key: str
    public_key: str
    passphrase: str


def read_index(directory: Path) -> Index:
    """Return the index of the vectors in `directory`; raises `msgspec.DecodeError`."""
    return msgspec.json.decode((directory / INDEX_FILE).read_bytes(), type=Index)


def paths_in(directory: Path) -> list[str]:
    """Return the path of every file below `directory` but the index, sorted."""
    found = (path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    return sorted(path for path in found if path != INDEX_FILE)
