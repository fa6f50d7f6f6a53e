"""What docker-compose.yml runs, without containers: the same command lines, settings and files, on local addresses."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.support.compose import ROOT, Service
from tests.support.kafka import KafkaServer, java
from tests.support.ports import free_ports
from tests.support.process import CommandProcess, command, environment, launched, run_command
from tests.support.waiting import wait_for

_HOME = "/var/lib/cardiosentry"  # the image's working directory
_HEALTHY_S = 90.0


class ComposedKafka(KafkaServer):
    """A broker with the settings of deploy/kafka, `made` being where `deploy.init` was run."""

    def __init__(self, properties: str, made: Path) -> None:
        super().__init__()
        self._text = (ROOT / "deploy/kafka" / properties).read_text("utf-8")
        self._secrets = made / "secrets"
        self._host_port, self._internal_port = free_ports(2)
        self.secure = "INTERNAL" in self._text

    @property
    def addresses(self) -> dict[str, str]:
        """What stands for an address of the network of the containers."""
        return {"kafka:19092": f"localhost:{self._port}", "kafka:9094": f"localhost:{self._internal_port}"}

    @property
    def admin_properties(self) -> dict[str, str]:
        if not self.secure:
            return {"bootstrap.servers": self.addresses["kafka:19092"]}
        admin = str(self._secrets / "kafka-admin.pem")
        return {
            "bootstrap.servers": self.addresses["kafka:9094"],
            "security.protocol": "SSL",
            "ssl.ca.location": str(self._secrets / "kafka-ca.pem"),
            "ssl.certificate.location": admin,
            "ssl.key.location": admin,
        }

    def make_users(self, names: list[str], directory: Path) -> None:
        """Run deploy/kafka/users.sh for some processes."""
        directory.mkdir()
        for name in ("kafka-ca.pem", "kafka-admin.pem", *(f"kafka-{name}.password" for name in names)):
            shutil.copy(self._secrets / name, directory)
        tool = directory / "kafka-configs.sh"
        run = shlex.join([*java(["-XX:TieredStopAtLevel=1"]), "kafka.admin.ConfigCommand"])
        tool.write_text(f'#!/bin/sh\nexec {run} "$@"\n')
        tool.chmod(0o755)
        admin = self._translated((ROOT / "deploy/kafka/admin.properties").read_text("utf-8"), directory)
        (directory / "admin.properties").write_text(admin, "utf-8")
        script = self._translated((ROOT / "deploy/kafka/users.sh").read_text("utf-8"), directory)
        script = script.replace("/opt/kafka/bin", str(directory)).replace("/etc/cardiosentry", str(directory))
        variables = {**environment(), "TMPDIR": str(directory)}
        done = subprocess.run(
            ["bash", "-c", script], env=variables, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _settings(self, data: Path) -> str:
        text = self._translated(self._text, self._secrets).replace("/var/lib/kafka/data", str(data))
        return re.sub(r"://[0.]+:", "://127.0.0.1:", text)

    def _translated(self, text: str, secrets: Path) -> str:
        ports = {
            "19092": self._port,
            "9092": self._host_port,
            "9094": self._internal_port,
            "9095": self._controller_port,
        }
        text = re.sub(r":(19092|9092|9094|9095)\b", lambda found: f":{ports[found[1]]}", text)
        return text.replace("kafka:", "localhost:").replace("/run/secrets", str(secrets))


class Composed(CommandProcess):
    """One service's process, in directories of its own that hold what the file mounts, and nothing else.

    `made` is where `deploy.init` was run, `addresses` what stands for other services' addresses, `settings` what the
    environment says beside the file.
    """

    stop_s = 60.0  # as stop_grace_period

    def __init__(
        self, service: Service, directory: Path, made: Path, addresses: Mapping[str, str], settings: Mapping[str, str]
    ) -> None:
        self.service = service
        self._directory = directory / service.name
        self._home, self._tmp = self._directory / "home", self._directory / "tmp"
        (tmp,) = service.given["tmpfs"]
        self._replaced = {f"{tmp}/": f"{self._tmp}/", "/run/secrets/": f"{self._directory}/secrets/", **addresses}
        self._mount(made)
        env = {name: self._local(value) for name, value in service.environment.items()}
        super().__init__(
            self._directory / "log",
            *map(self._local, service.arguments),
            cwd=self._home,
            env={"HOME": str(self._tmp), **settings, **env},
        )

    def run(self, *more: str) -> None:
        """Run what ends by itself, with more arguments; fail if it does not end well."""
        done = launched(command(*self._arguments, *more), self.log, cwd=self._cwd, env=self._env)
        try:
            assert done.wait(120) == 0, self.text()
        finally:
            done.kill()

    @contextmanager
    def started(self) -> Iterator[Self]:
        """Run it for as long as the context lasts, then end it as `docker compose stop` does."""
        with self:
            yield self
            assert self.stop() in (0, -signal.SIGTERM), self.text()

    def wait_until_healthy(self) -> None:
        """Wait until its own health check says so; fail with the log if it ends or does not."""
        wait_for(self._is_healthy, _HEALTHY_S, lambda: f"{self.service.name}: {self.text()}")

    def _is_healthy(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.text()
        return run_command(*map(self._local, self.service.health[1:])).returncode == 0

    def _mount(self, made: Path) -> None:
        for directory in (self._home, self._tmp, self._directory / "secrets"):
            directory.mkdir(parents=True)
        for secret in self.service.secrets:
            target = self._place(secret.target)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made / secret.source, target)
        for mount in self.service.mounts:
            os.symlink(made / mount.source, self._place(mount.target))

    def _place(self, target: str) -> Path:
        if target.startswith("/run/secrets/"):
            return self._directory / "secrets" / Path(target).name
        assert target.startswith(_HOME), target
        return self._home / Path(target).relative_to(_HOME)

    def _local(self, text: str) -> str:
        for name, local in self._replaced.items():
            text = text.replace(name, local)
        return text
