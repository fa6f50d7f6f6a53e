"""Write this version's test vectors: `python -m tests.vectors.write`. Vectors that are there are never overwritten.

The inputs are the same every time, the keys fresh. The signers' private keys are not kept; the one key that is, is no
signer's.
"""

import hashlib
import shutil
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from contracts.heart_disease import HEART_DISEASE
from contracts.reference import ReferenceStatistics
from contracts.releases import DAY_MS, ROLES, EarlyStage
from models.bundle import bundle_digest
from models.dsse import open_envelope, public_pem
from models.keyfile import KeyFile
from models.release import listed, sign_baseline, sign_release, sign_revocation, sign_rollback, sign_step
from models.release_log import ReleaseLog
from models.roots import make_first_root, sign_next, with_signer
from models.sign import PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, generate_signing_key
from models.trust import MAX_STATEMENT_BYTES, first_root
from tests.support.reference import made_up_reference
from tests.vectors.bundle import write_bundle
from tests.vectors.index import FIRST_ROOT, INDEX_FILE, Index, Record, paths_in

VECTORS = Path(__file__).parent
MADE_MS = 1_800_000_000_000
PASSPHRASE = "public: this key signs nothing"  # noqa: S105 - a throw-away key's, published on purpose
KEY_DIRECTORY = "throw-away-key"


def main() -> None:
    directory = VECTORS / product_version()
    if directory.exists():
        sys.exit(f"{directory}: expected no vectors of this version, got some that are there; they are never changed")
    with TemporaryDirectory(dir=VECTORS, prefix=".made-") as work:
        write(Path(work) / "made")
        shutil.move(Path(work) / "made", directory)
    print(directory)


def product_version() -> str:
    """Return the version in pyproject.toml."""
    version = tomllib.loads((VECTORS.parents[1] / "pyproject.toml").read_text())["project"]["version"]
    assert isinstance(version, str)
    return version


def write(directory: Path) -> None:
    """Write the vectors of the code as it is into the new `directory`."""
    directory.mkdir()
    with TemporaryDirectory() as elsewhere:
        keys = {name: _key(Path(elsewhere) / name) for name in ("Ada", "Bob", "stranger")}
        ada = Path(elsewhere) / "Ada" / PRIVATE_KEY_FILE
        first = write_bundle(directory / "bundle-1", ada, threshold=0.4)
        second = write_bundle(directory / "bundle-2", ada, threshold=0.5, further=b"{}\n")
    generate_signing_key(directory / KEY_DIRECTORY, PASSPHRASE.encode())
    records = _write_statements(directory, keys, first, second)
    digests = {name: bundle_digest(files) for name, files in (("bundle-1", first), ("bundle-2", second))}
    index = Index(
        clock_ms=MADE_MS + DAY_MS,
        files={path: hashlib.sha256((directory / path).read_bytes()).hexdigest() for path in paths_in(directory)},
        bundles=digests,
        records=tuple(records),
        champion=digests["bundle-1"],
        stages={digests["bundle-1"]: "champion", digests["bundle-2"]: "revoked"},
        key=f"{KEY_DIRECTORY}/{PRIVATE_KEY_FILE}",
        public_key=f"{KEY_DIRECTORY}/{PUBLIC_KEY_FILE}",
        passphrase=PASSPHRASE,
    )
    (directory / INDEX_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(index), indent=2) + b"\n")


def _write_statements(
    directory: Path, keys: dict[str, KeyFile], first: dict[str, bytes], second: dict[str, bytes]
) -> list[Record]:
    """Write both trust roots and every kind of statement; return the log that they make.

    Ada signs, a stranger tries to, Bob joins with the second root: the first bundle is released, replaced by the second
    and comes back, gets a baseline that is withdrawn again, the second is revoked.
    """
    ada, bob, digest = keys["Ada"], keys["Bob"], bundle_digest(first)
    root = make_first_root(ada, "Ada", HEART_DISEASE, now_ms=MADE_MS)
    (directory / FIRST_ROOT).write_bytes(root)
    log = ReleaseLog(first_root(root))
    records: list[Record] = []

    def add(file: str, statement: bytes, *signed_by: str) -> None:
        """Write a statement and put it next in the log; nobody signed what is refused."""
        (directory / file).write_bytes(statement)
        records.append(Record(file, "accepted" if signed_by else "refused", signed_by))
        if signed_by:
            log.read(statement)

    def release(files: dict[str, bytes], key: KeyFile, role: str = "champion") -> bytes:
        common = {"reason": f"to be the {role}", "now_ms": MADE_MS, "days": 365}
        return sign_release(listed(files), bundle_digest(files), log, key, role=role, **common)  # type: ignore[arg-type]

    def baseline(statistics: ReferenceStatistics | None, key: KeyFile) -> bytes:
        return sign_baseline(statistics, digest, log, key, reason="our own patients", now_ms=MADE_MS)

    early: tuple[EarlyStage, ...] = ("candidate", "gated", "stored")
    for stage in early:
        add(f"step-{stage}.json", sign_step(digest, stage, ada, reason="first model", now_ms=MADE_MS), "Ada")
    add("champion-1-by-a-stranger.json", release(first, keys["stranger"]))
    champion = release(first, ada)
    add("champion-1-changed.json", _changed(champion))
    add("champion-1.json", champion, "Ada")
    by_bob = release(second, bob)
    add("champion-2.json", by_bob)
    pem = public_pem(bob.public_key).decode()
    with_bob = with_signer(log.trust.root, "Bob", pem, ROLES, unattended=False, may_revoke=False, signs_roots=False)
    add("trust-root-2.json", sign_next(with_bob, ada, now_ms=MADE_MS), "Ada")
    add("champion-2.json", by_bob, "Bob")
    earlier = log.releases("champion")[0]
    add("rollback.json", sign_rollback(earlier, log, bob, reason="too many alarms", now_ms=MADE_MS, days=365), "Bob")
    add("baseline-1-by-a-stranger.json", baseline(made_up_reference(), keys["stranger"]))
    add("baseline-1.json", baseline(made_up_reference(), bob), "Bob")
    add("baseline-2-withdraws.json", baseline(None, ada), "Ada")
    revoked = bundle_digest(second)
    add("revocation-by-who-may-not.json", sign_revocation(revoked, bob, reason="leaked data", now_ms=MADE_MS))
    add("revocation.json", sign_revocation(revoked, ada, reason="leaked data", now_ms=MADE_MS), "Ada")
    add("shadow-1.json", release(first, ada, "shadow"), "Ada")
    return records


def _changed(statement: bytes) -> bytes:
    """Return the statement with another version, its signature as it was."""
    payload = open_envelope(statement, max_bytes=MAX_STATEMENT_BYTES).payload
    changed = payload.replace(b'"version":1', b'"version":9')
    assert changed != payload
    return statement.replace(msgspec.json.encode(payload), msgspec.json.encode(changed))


def _key(directory: Path) -> KeyFile:
    private, _ = generate_signing_key(directory)
    return KeyFile.load(private)


if __name__ == "__main__":
    main()
