"""A real Elasticsearch 8.19 for tests and benchmarks: one node, from Maven Central alone, on free local ports.

>>> with ElasticServer() as elastic:  # doctest: +SKIP
...     Elasticsearch(elastic.address)

It is fetched once into `.cache/` (a hundred megabytes); after that a start takes about ten seconds. That distribution
lacks index lifecycle management, scripts, ingest and a few field types.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tests.support.ports import free_ports
from tests.support.server import Server
from tests.support.serving import get

VERSION = "8.19.21"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
HOME = Path(__file__).parents[2] / ".cache" / f"elasticsearch-{VERSION}"

PASSWORD = "a-password-of-tests"  # noqa: S105 - of servers that live as long as a test

_SETTINGS = """\
cluster.name: cardiosentry-test
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport_port}
discovery.type: single-node
path.data: {directory}/data
path.logs: {directory}/logs
xpack.security.enabled: {secure}
xpack.security.http.ssl.enabled: false
xpack.security.transport.ssl.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
action.destructive_requires_name: false
"""


class ElasticUnavailable(Exception):  # as KafkaUnavailable
    """This machine cannot run Elasticsearch; the text says what is missing."""


class ElasticServer(Server):
    """One node with data and ports of its own, kept over `stop` or `kill` and the next `start`.

    With `roles`, as an API key describes them, it wants to know who asks: there is a user for each, of the same name,
    and "superuser"; `PASSWORD` is everybody's. (It cannot make API keys: that needs what this distribution lacks.)

    `start` raises `ElasticUnavailable` without Java or Maven.
    """

    start_s = 180.0  # ten on two idle cores
    stop_s = 30.0

    def __init__(self, *, heap: str = "512m", roles: Mapping[str, Any] | None = None) -> None:
        super().__init__("elastic")
        self._heap = heap
        self._port, self._transport_port = free_ports(2)
        self._roles = roles
        self._pid: int | None = None  # the server's: what is started here launches it

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it is not running."""
        return self._pid

    def close(self) -> None:
        """Kill the server, whose data goes anyway, and delete that."""
        self.kill()
        super().close()

    def _program(self) -> list[str]:
        prepare()
        self._configure()
        self._pid_file.unlink(missing_ok=True)
        return [*_as_nobody(), str(HOME / "bin" / "elasticsearch"), "-p", str(self._pid_file)]

    @property
    def _pid_file(self) -> Path:
        return self._dir / "pid"

    def _configure(self) -> None:
        config = self._dir / "config"
        if not config.exists():
            shutil.copytree(HOME / "config", config)
            (self._dir / "tmp").mkdir()
        settings = _SETTINGS.format(
            port=self._port,
            transport_port=self._transport_port,
            directory=self._dir,
            secure="true" if self._roles else "false",
        )
        (config / "elasticsearch.yml").write_text(settings, "utf-8")
        if self._roles:
            lines = [f"{name}: {json.dumps(role)}\n" for name, role in self._roles.items()]  # JSON is YAML
            (config / "roles.yml").write_text("".join(lines), "utf-8")
            for role in (*self._roles, "superuser"):
                user = ["useradd", role, "-p", PASSWORD, "-r", role]
                _run(str(HOME / "bin" / "elasticsearch-users"), *user, env=self._environment())
        if os.getuid() == 0:  # it refuses to run as root
            subprocess.run(["chown", "-R", "nobody", str(self._dir)], check=True)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._dir),
            "ES_PATH_CONF": str(self._dir / "config"),
            "ES_TMPDIR": str(self._dir / "tmp"),
            "ES_JAVA_HOME": _java_home(),
            "ES_JAVA_OPTS": f"-Xms{self._heap} -Xmx{self._heap}",
            "CLI_JAVA_OPTS": "-Xmx64m",
        }

    def _end(self, how: signal.Signals) -> None:
        pid, self._pid = self._pid, None
        # The launcher waits for the server, which is its child, and ends with it.
        servers = [psutil.Process(pid)] if pid and psutil.pid_exists(pid) else []
        if not servers and self._process:
            with contextlib.suppress(psutil.NoSuchProcess):
                servers = psutil.Process(self._process.pid).children(recursive=True)
        for server in servers:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.send_signal(how)
        _, alive = psutil.wait_procs(servers, self.stop_s)
        for server in alive:
            server.kill()
        super()._end(signal.SIGTERM if servers else signal.SIGKILL)

    def _answers(self) -> bool:
        if self._pid is None and self._pid_file.exists() and (text := self._pid_file.read_text().strip()):
            self._pid = int(text)
            self._watch(self._pid)
        status, _ = get(f"{self.address}/_cluster/health?wait_for_status=yellow&timeout=1s")
        return status in (200, 401)  # 401: it is up, and wants to know who asks


def prepare() -> None:
    """Make sure that the server is in the cache; raise `ElasticUnavailable` if it cannot be."""
    for needed in ("java", "mvn", "unzip"):
        if shutil.which(needed) is None and not (needed != "java" and HOME.exists()):
            raise ElasticUnavailable(f"needs Java 17, Maven and unzip: {needed} not found on PATH")
    if HOME.exists():
        return
    HOME.parent.mkdir(parents=True, exist_ok=True)
    # Two test runs may start at once: each fetches beside the cache, the first to finish gives it its name.
    fetched = Path(tempfile.mkdtemp(prefix=f"{HOME.name}-", dir=HOME.parent))
    try:
        _run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={fetched}")
        _run("unzip", "-q", str(fetched / f"elasticsearch-{VERSION}.zip"), "-d", str(fetched))
        _run("chmod", "-R", "a+rX", str(fetched))
        with contextlib.suppress(OSError):
            (fetched / f"elasticsearch-{VERSION}").rename(HOME)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def _run(*command: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, env=env)
    if done.returncode:
        raise ElasticUnavailable(f"{command[0]} failed with exit code {done.returncode}: {done.stdout}{done.stderr}")


def _as_nobody() -> list[str]:
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []


def _java_home() -> str:
    java = shutil.which("java")
    assert java
    return str(Path(java).resolve().parents[1])
