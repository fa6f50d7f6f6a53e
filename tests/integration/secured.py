"""A whole system on a Kafka that grants nothing by itself: each process under its own user, with a settings file."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.access import PROCESSES
from contracts.settings import Settings
from contracts.topics import TOPICS
from stream_app.configuration import read_settings
from tests.support.broker import is_led
from tests.support.process import run_command
from tests.support.secured import SecuredKafka
from tests.support.site import Site
from tests.support.waiting import wait_for

PARTITIONS = 4
HOSPITAL = "st-mary"


@dataclass
class SecuredSystem:
    """The topics under `prefix`, with the users of `group`: one a process, and one a hospital."""

    kafka: SecuredKafka
    site: Site
    directory: Path
    prefix: str
    group: str
    passwords: dict[str, str] = field(init=False)
    files: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        names = [*(self.user(process.name) for process in PROCESSES), HOSPITAL]
        self.passwords = {name: f"secret of {name}" for name in names}
        self.kafka.add_users(self.passwords)
        self.ok("admin", "topics", "create", "--partitions", str(PARTITIONS))
        consumer = Consumer({**self.kafka.admin_properties, "group.id": "never-joined"})
        try:
            places = [TopicPartition(self.prefix + topic.name, 0) for topic in TOPICS]
            wait_for(lambda: all(is_led(consumer, place) for place in places), 30)
        finally:
            consumer.close()

    def user(self, process: str) -> str:
        """Return the user of a process, or the name itself of somebody else."""
        return f"{self.group}-{process}" if process in {each.name for each in PROCESSES} else process

    def everybody(self) -> list[str]:
        """Return the options that name every user of the system."""
        names = [process.name for process in PROCESSES]
        names += [f"producer=User:{HOSPITAL}", f"outcomes=User:{HOSPITAL}"]
        return [part for name in names for part in ("--for", name)]

    def kafka_of(self, name: str) -> dict[str, str]:
        """Return librdkafka's properties of a process, a hospital or the `admin`, with the address."""
        if name == "admin":
            return self.kafka.admin_properties
        user = self.user(name)
        properties = self.kafka.client_kafka(user, self.passwords[user])
        # Who asks a partition where it ends waits for a fetch that finds nothing, half a second by default.
        return {"bootstrap.servers": self.kafka.bootstrap, "fetch.wait.max.ms": "10", **properties}

    def file(self, name: str, **changed: str) -> Path:
        """Write the settings of a process, its password in a file of its own; `changed` are librdkafka's properties.

        Their names are written with _ for a dot.
        """
        path = self.directory / f"{name}{next(self.files)}.toml"
        properties = {**self.kafka_of(name), **{key.replace("_", "."): value for key, value in changed.items()}}
        lines = {
            "bootstrap": properties.pop("bootstrap.servers"),
            "topic_prefix": self.prefix,
            "group": self.group,
            "keys": str(self.site.keys),
            "store": str(self.site.store),
        }
        if "sasl.password" in properties:
            password = path.with_suffix(".password")
            password.write_text(properties.pop("sasl.password") + "\n")
            lines["sasl_password_file"] = str(password)
        tables = (lines, properties)
        text = "\n[kafka]\n".join("".join(f'"{key}" = {json.dumps(each[key])}\n' for key in each) for each in tables)
        path.write_text(text)
        return path

    def settings(self, name: str) -> Settings:
        """Return the settings of a process."""
        return read_settings(self.file(name))

    def run(self, name: str, *arguments: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        """Run the command under the user of a process."""
        return run_command(*arguments, "--config", str(self.file(name, **changed)))

    def ok(self, name: str, *arguments: str) -> str:
        """Run the command, fail if it does, return what it printed."""
        done = self.run(name, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def admin(self) -> AdminClient:
        return AdminClient(dict(self.kafka.admin_properties))
