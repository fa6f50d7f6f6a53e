"""What the commands about releases share: reading model-releases, announcing on it, who signs."""

import time
from pathlib import Path

import click
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from cli.kafka import client_properties, require_topics
from cli.passphrase import passphrase_of
from contracts.errors import ModelRejected, UserError
from contracts.releases import Release, Role
from contracts.settings import Settings
from contracts.topics import RELEASES
from models.keyfile import KeyFile
from models.release import listed, sign_release
from models.release_log import ReleaseLog
from models.roots import read_root
from models.sign import PRIVATE_KEY_FILE
from models.store import DirectoryStore

_ANSWER_S = 15.0


def read_releases(settings: Settings) -> ReleaseLog:
    """Return what model-releases comes to under the trust root in the directory of keys."""
    log = ReleaseLog(read_root(Path(settings.keys)))
    require_topics(settings)
    consumer = Consumer(
        {
            "group.id": "cardiosentry-releases",  # never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            **client_properties(settings),
        }
    )
    try:
        consumer.assign([TopicPartition(settings.topic_prefix + RELEASES.name, 0, OFFSET_BEGINNING)])
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is None:
                try:
                    log.read(message.value() or b"")
                except ModelRejected as rejected:
                    where = f"{message.partition()}/{message.offset()}"
                    click.echo(f"left out {RELEASES.name}/{where}: {rejected}", err=True)
            elif error.code() == KafkaError._PARTITION_EOF:
                return log
    finally:
        consumer.close()
    raise UserError(f"{RELEASES.name}: expected to read it to its end within {_ANSWER_S:.0f} s")


def announce(settings: Settings, log: ReleaseLog, statement: bytes) -> None:
    """Check a statement as workers will, then write it to model-releases; raise `UserError` if they would refuse it."""
    entry = log.read(statement)
    role = entry.statement.role if entry and isinstance(entry.statement, Release) else "all"
    failures: list[str] = []
    producer = Producer({**client_properties(settings), "enable.idempotence": True, "acks": "all"})
    producer.produce(
        settings.topic_prefix + RELEASES.name,
        statement,
        role.encode(),
        partition=0,
        on_delivery=lambda error, _: failures.append(error.str()) if error else None,
    )
    if producer.flush(_ANSWER_S) or failures:
        raise UserError(f"{RELEASES.name}: expected the broker to take the statement, got: {' '.join(failures)}")


def release_bundle(
    settings: Settings, bundle: Path, *, role: Role, reason: str, days: int, key: Path | None = None
) -> str:
    """Release a bundle and return what to say of it; raises `UserError` (with it `ModelRejected`)."""
    from models.verify import read_bundle, verify_files

    signer = signing_key(settings, key)
    log = read_releases(settings)
    files = read_bundle(bundle)
    digest = verify_files(files, log.trust.pems, where=bundle).digest
    version = log.next_version(role)
    statement = sign_release(listed(files), digest, log, signer, role=role, reason=reason, now_ms=now_ms(), days=days)
    store = DirectoryStore(Path(settings.store))
    for content in files.values():
        store.put(content)
    announce(settings, log, statement)
    return f"released {role} {version} {digest}"


def signing_key(settings: Settings, path: Path | None) -> KeyFile:
    """Return the key to sign with; asks for its passphrase where it is encrypted and the environment has none."""
    path = path or Path(settings.keys) / PRIVATE_KEY_FILE
    return KeyFile.load(path, passphrase_of(path))


def now_ms() -> int:
    return time.time_ns() // 1_000_000
