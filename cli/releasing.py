"""What the commands about releases share: reading model-releases, announcing on it, who signs."""

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from confluent_kafka import Message

from cli.kafka import client_properties, require_topics, write
from cli.passphrase import passphrase_of
from contracts.errors import ModelRejected, UserError
from contracts.releases import ROLES, Release, Role
from contracts.settings import Settings
from contracts.topics import RELEASES
from models.keyfile import KeyFile
from models.lifecycle import stages
from models.provenance import PROVENANCE, chain, check_chain
from models.release import listed, sign_release, sign_step
from models.release_log import ReleaseLog
from models.roots import read_root
from models.sign import PRIVATE_KEY_FILE
from models.store import open_store
from models.trust import TooFewSigners
from monitoring.reader import TopicReader


def _tell(message: Message, refused: ModelRejected) -> None:
    click.echo(f"left out {RELEASES.name}/{message.partition()}/{message.offset()}: {refused}", err=True)


def read_releases(settings: Settings, left_out: Callable[[Message, ModelRejected], None] = _tell) -> ReleaseLog:
    """Return what model-releases comes to under the trust root in the directory of keys.

    `left_out` is called with each record that changes nothing.
    """
    log = ReleaseLog(read_root(Path(settings.keys)))
    require_topics(settings, [RELEASES])
    topic = settings.topic_prefix + RELEASES.name
    with TopicReader(client_properties(settings), [topic], beginning=True) as reader:
        for message in reader.until_end():
            try:
                log.read(message.value() or b"", message.timestamp()[1])
            except ModelRejected as refused:
                left_out(message, refused)
    return log


def released_digest(text: str, releases: Iterable[Release]) -> str:
    """Return the digest of the one of these bundles that `text` is or begins, with "sha256:" or without."""
    if re.fullmatch(r"(sha256:)?[0-9a-f]{4,64}", text):
        beginning = text if text.startswith("sha256:") else f"sha256:{text}"
        found = sorted({release.digest for release in releases if release.digest.startswith(beginning)})
        if len(found) == 1:
            return found[0]
        got = f"several: {', '.join(found)}" if found else "none"
    else:
        got = "something else"
    raise UserError(
        f"{text}: expected the digest of one bundle that was released, or at least its first four digits, got {got}; "
        "`cardiosentry models list` has them"
    )


def every_release(log: ReleaseLog) -> list[Release]:
    """Return the releases of all roles."""
    return [release for role in ROLES for release in log.releases(role)]


def announce(settings: Settings, log: ReleaseLog, statement: bytes) -> None:
    """Check a statement as workers will, then write it to model-releases; raise `UserError` if they refuse it.

    That is `TooFewSigners` for one that more signers must sign. The topic is read once more: of two that somebody
    announced at the same moment workers take the first.
    """
    entry = log.read(statement)
    role = entry.statement.role if entry and isinstance(entry.statement, Release) else "all"
    write(settings, RELEASES, [(role.encode(), statement)], "the statement")

    def check(message: Message, refused: ModelRejected) -> None:
        if message.value() == statement:
            raise UserError(f"expected to be alone, another statement came first, ours changes nothing: {refused}")

    read_releases(settings, check)


def publish(settings: Settings, log: ReleaseLog, statement: bytes, done: str, pending: str) -> str:
    """Announce a statement and return `done`; keep it in the file `pending` if more signers must sign it first."""
    try:
        announce(settings, log, statement)
    except TooFewSigners as few:
        if few.signed == 0:
            raise
        Path(pending).write_bytes(statement)
        return f"{few}\nkept in {pending}, not announced: have another signer run `cardiosentry approve {pending}`"
    return done


def release_bundle(
    settings: Settings, bundle: Path, *, role: Role, reason: str, days: int, key: Path | None = None
) -> str:
    """Store and release a bundle and return what to say of it; raises `UserError` (with it `ModelRejected`)."""
    from models.verify import read_bundle, verify_files

    signer = signing_key(settings, key)
    log = read_releases(settings)
    files = read_bundle(bundle)
    digest = verify_files(files, log.trust.pems, where=bundle).digest
    version = log.next_version(role)
    wanted = PROVENANCE in log.trust.root.roles[role].attestations
    if wanted:
        check_chain(files, log.trust.keys, str(bundle))
    whole = wanted or not any(link.fault for link in chain(files, log.trust.keys))
    at_ms = now_ms()
    statement = sign_release(
        listed(files),
        digest,
        log,
        signer,
        role=role,
        reason=reason,
        now_ms=at_ms,
        days=days,
        attestations=(PROVENANCE,) if whole else (),
    )
    store = open_store(settings.store)
    for content in files.values():
        store.put(content)
    if stages(log.entries, shadows=settings.shadows).get(digest) in (None, "candidate", "gated"):
        announce(settings, log, sign_step(digest, "stored", signer, reason=reason, now_ms=at_ms))
    return publish(settings, log, statement, f"released {role} {version} {digest}", pending_file(role, version))


def pending_file(what: str, version: int) -> str:
    """Return the name of the file in which a statement waits for further signers."""
    return f"{what}-{version}.statement.json"


def signing_key(settings: Settings, path: Path | None) -> KeyFile:
    """Return the key to sign with; asks for its passphrase where it is encrypted and the environment has none."""
    path = path or Path(settings.keys) / PRIVATE_KEY_FILE
    return KeyFile.load(path, passphrase_of(path))


def now_ms() -> int:
    return time.time_ns() // 1_000_000
