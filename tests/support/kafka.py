"""A real Kafka 4.1 for tests and benchmarks: one node, KRaft, from Maven Central's artifacts, on free local ports.

>>> with KafkaServer() as kafka:  # doctest: +SKIP
...     Producer({"bootstrap.servers": kafka.bootstrap})

The jars are fetched once into `.cache/`; after that a start takes a few seconds.
"""

import contextlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.ports import free_ports
from tests.support.server import Server

VERSION = "4.1.0"
POM = Path(__file__).parent / "kafka" / "pom.xml"
CACHE = Path(__file__).parents[2] / ".cache" / f"kafka-{VERSION}"

# One cluster a server, so that every one of them may have the same id and be formatted once, in the cache: 2.4 s less
# for every start.
_CLUSTER_ID = "AAAAAAAAQACAAAAAAAAAAQ"

# The short broker session is for the crash tests: after a SIGKILL the controller admits the broker again only when its
# former session has run out, 9 s by default.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=10000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class KafkaUnavailable(Exception):  # says what is so, as python-tuf's errors do
    """This machine cannot run the broker; the text says what is missing."""


class KafkaServer(Server):
    """One broker with a data directory and ports of its own, kept over `stop` or `kill` and the next `start`.

    `start` returns when the broker has answered a request, and raises `KafkaUnavailable` without Java or Maven.
    """

    start_s = 90.0  # 5-7 s on two idle cores; a loaded machine recovering a large log takes longer
    stop_s = 30.0

    def __init__(self, *, heap: str = "1g") -> None:
        super().__init__("kafka")
        self._heap = heap
        self._port, self._controller_port = free_ports(2)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def _settings(self, data: Path) -> str:
        return SETTINGS.format(port=self._port, controller_port=self._controller_port, data=data)

    @property
    def admin_properties(self) -> dict[str, str]:
        """How to connect as somebody who may do everything."""
        return {"bootstrap.servers": self.bootstrap}

    def _program(self) -> list[str]:
        prepare()
        data = self._dir / "data"
        if not data.exists():
            shutil.copytree(CACHE / "formatted", data)
        settings = self._dir / "server.properties"
        settings.write_text(self._settings(data), encoding="utf-8")
        return [*java(f"-Xms512m -Xmx{self._heap}".split()), "kafka.Kafka", str(settings)]

    def _answers(self) -> bool:
        # The client calls again and again while nobody listens; its complaints are expected.
        admin = AdminClient({**self.admin_properties, "log_level": "0", "reconnect.backoff.max.ms": "200"})
        with contextlib.suppress(KafkaException):
            # A broker lists itself once the controller has unfenced it, so this is more than an open port.
            return bool(admin.list_topics(timeout=1).brokers)
        return False


def prepare() -> None:
    """Make sure that jars and formatted storage are in the cache; raise `KafkaUnavailable` if they cannot be."""
    _checkjava()
    if (CACHE / "formatted").exists():
        return
    if shutil.which("mvn") is None:
        raise KafkaUnavailable("needs Java 17 and Maven: mvn not found on PATH")
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    # Two test runs may start at once: each fetches beside the cache, the first to finish gives it its name.
    fetched = Path(tempfile.mkdtemp(prefix=f"{CACHE.name}-", dir=CACHE.parent))
    try:
        _run(
            "mvn",
            "-q",
            "-B",
            "-C",
            "-f",
            str(POM),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={fetched / 'libs'}",
        )
        settings = fetched / "format.properties"
        settings.write_text(SETTINGS.format(port=1, controller_port=2, data=fetched / "formatted"), encoding="utf-8")
        _run(*java([], fetched / "libs"), "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(settings))
        with contextlib.suppress(OSError):
            fetched.rename(CACHE)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    if not (CACHE / "formatted").exists():
        raise RuntimeError(f"{CACHE}: expected a complete cache; delete it and try again")


def _checkjava() -> None:
    if shutil.which("java") is None:
        raise KafkaUnavailable("needs Java 17 and Maven: java not found on PATH")
    text = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', text)
    if not version or int(version[1]) < 17:
        got = f"Java {version[1]}" if version else f"an unknown version: {text.strip()!r}"
        raise KafkaUnavailable(f"needs Java 17 and Maven: java on PATH is {got}")


def java(options: list[str], libs: Path = CACHE / "libs") -> list[str]:
    """Return how to run a class of Kafka's."""
    return ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *options, "-cp", f"{libs}/*"]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise KafkaUnavailable(
            f"{command[0]} failed with exit code {done.returncode}: {done.stdout}{done.stderr}".strip()
        )
