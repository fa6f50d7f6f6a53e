"""Make what docker-compose.yml needs beside the code: keys, passwords, certificates, directories, .env.

    .venv/bin/python -m deploy.init --signer Ada --source st-mary

Everything secret is new and random, in files that their owner alone may read. What is there is never overwritten.
"""

import base64
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.keyfiles import generate_keys
from cli.main import told
from cli.options import SIGNER_OPTION, SOURCES_OPTION, checked_source
from contracts.access import PROCESSES
from contracts.errors import UserError
from deploy.certificates import Authority
from models.files import create

# Each service's data, so that the host's backup has it; a container may write into its own alone.
DIRECTORIES = (
    *("kafka", "elasticsearch", "kibana", "prometheus", "alertmanager", "grafana"),
    *("store", "state", "runs", "rescan"),
)

# Names that never resolve: pages go nowhere until somebody writes where to.
_NOT_SET = {
    "slack-url": "https://slack.invalid/not-set",
    "pagerduty-key": "not-set",
    "telegram-token": "0:not-set",
    "heartbeat-url": "https://heartbeat.invalid/not-set",
}

_KIBANA = """\
server.host: 0.0.0.0
server.publicBaseUrl: https://localhost:5601
server.ssl.enabled: true
server.ssl.certificate: /run/secrets/kibana.pem
server.ssl.key: /run/secrets/kibana.key
elasticsearch.hosts: [https://elasticsearch:9200]
elasticsearch.username: kibana_system
elasticsearch.password: "{password}"
elasticsearch.ssl.certificateAuthorities: [/run/secrets/elastic-ca.pem]
xpack.encryptedSavedObjects.encryptionKey: "{saved}"
xpack.security.encryptionKey: "{sessions}"
xpack.reporting.encryptionKey: "{reports}"
telemetry.enabled: false
newsfeed.enabled: false
"""


@click.command
@click.option("--into", type=click.Path(path_type=Path), default=Path(), show_default="here", help="The checkout.")
@SIGNER_OPTION
@SOURCES_OPTION
@click.option("--uid", type=click.IntRange(1), help="Whom the containers run as [you].")
@click.option("--gid", type=click.IntRange(1), help="And the group [yours].")
def command(into: Path, signer: str, sources: tuple[str, ...], uid: int | None, gid: int | None) -> None:
    """Make ./secrets, ./data and ./.env for docker compose; what is there is never overwritten.

    \b
    Example:
      python -m deploy.init --signer Ada --source st-mary --source uci --source synthetic
    """
    for source in sources:
        checked_source(source)
    owner = _owner(uid, gid)
    for path in (into / "secrets", into / "data", into / ".env"):
        if path.exists():
            raise UserError(f"{path}: expected nothing there; it is not overwritten: move it away to begin anew")
    _make(into, signer, sources, owner)
    click.echo(f"made {into / 'secrets'}, {into / 'data'} and {into / '.env'}; keep {into / 'secrets'} to yourself")


def _owner(uid: int | None, gid: int | None) -> tuple[int, int]:
    """Return as whom the containers run; raise `UserError` for root."""
    found = uid or os.getuid(), gid or os.getgid()
    if 0 in found:
        raise UserError("expected a user other than root for the containers: give --uid and --gid")
    if os.getuid() != 0 and found[0] != os.getuid():
        raise UserError(f"--uid {found[0]}: expected your own, since only root can give files away")
    return found


def _make(into: Path, signer: str, sources: tuple[str, ...], owner: tuple[int, int]) -> None:
    directory = into / "secrets"
    directory.mkdir(mode=0o700, parents=True)
    list(generate_keys(directory / "keys", sources, signer=signer))
    for name, content in _secrets():
        create(directory / name, content, mode=0o600)
    for name in DIRECTORIES:
        (into / "data" / name).mkdir(mode=0o700, parents=True)
    create(into / ".env", _environment(owner).encode(), mode=0o644)
    if os.getuid() == 0:
        for path in (directory, into / "data", *directory.rglob("*"), *(into / "data").iterdir()):
            os.chown(path, *owner)


def _secrets() -> Iterator[tuple[str, bytes]]:
    """Yield each file's name and content."""
    now = datetime.now(UTC)
    kibana = _password()
    yield "kibana.password", kibana
    keys = {name: _password().decode() for name in ("saved", "sessions", "reports")}
    yield "kibana.yml", _KIBANA.format(password=kibana.decode(), **keys).encode()
    for name in ("elastic.password", "elastic-ship.password", "grafana.password"):
        yield name, _password()
    for process in PROCESSES:
        yield f"kafka-{process.name}.password", _password()

    elastic = Authority("CardioSentry Elasticsearch", now=now)
    yield "elastic-ca.pem", elastic.certificate
    yield "elastic-ca.key", elastic.key
    for name, host in (("elastic", "elasticsearch"), ("kibana", "kibana")):
        server = elastic.sign(host, (host, "localhost", "127.0.0.1"))
        yield f"{name}.pem", server.certificate
        yield f"{name}.key", server.key

    # Brokers and their administrator are super users by the names that this one signs.
    kafka = Authority("CardioSentry Kafka", now=now)
    broker, admin = kafka.sign("broker", ("kafka", "localhost", "127.0.0.1")), kafka.sign("kafka-admin")
    yield "kafka-ca.pem", kafka.certificate
    yield "kafka-ca.key", kafka.key
    yield "kafka-broker.pem", broker.key + broker.certificate
    yield "kafka-admin.pem", admin.key + admin.certificate

    for name, text in _NOT_SET.items():
        yield name, text.encode()


def _password() -> bytes:
    """Return 256 random bits in letters that need no quotes anywhere."""
    return secrets.token_hex(32).encode()


def _environment(owner: tuple[int, int]) -> str:
    """Return what compose reads by itself; nothing of it is secret."""
    cluster = "-"
    while cluster.startswith("-"):  # Kafka's commands would take it for an option
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    return f"CARDIOSENTRY_UID={owner[0]}\nCARDIOSENTRY_GID={owner[1]}\nKAFKA_CLUSTER_ID={cluster}\n"


if __name__ == "__main__":
    told(command)
