"""docker-compose.yml as data: what each service runs, mounts, listens to and asks."""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from deploy.init import command

ROOT = Path(__file__).parents[2]
PLAIN = ("docker-compose.yml",)
SECURE = ("docker-compose.yml", "docker-compose.secure.yml")

# As whom containers run; only root can make their files somebody else's.
UID, GID = os.getuid() or 1000, os.getgid() or 1000

_REPLACED = {"command", "entrypoint", "test"}  # lists that an override replaces; others it adds to


@dataclass(frozen=True)
class Mount:
    """A file or directory of the host in a container."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Service:
    """One service; `given` is what stands in the files, put together."""

    name: str
    given: dict[str, Any]
    secrets: tuple[Mount, ...]

    @property
    def ours(self) -> bool:
        return str(self.given["image"]).startswith("cardiosentry:")

    @property
    def arguments(self) -> list[str]:
        """What `cardiosentry` is called with: by itself, or again and again by a shell."""
        if "entrypoint" not in self.given:
            return list(self.given["command"])
        (looped,) = re.findall(r"cardiosentry ([^;]+);", self.given["command"][0])
        return shlex.split(looped)

    @property
    def environment(self) -> dict[str, str]:
        """What stands for a variable of .env is its default."""
        given = self.given.get("environment", {})
        return {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(value)) for name, value in given.items()}

    @property
    def health(self) -> list[str]:
        """The health check's command; empty for what runs once."""
        test: list[str] = self.given["healthcheck"].get("test", [])
        return [part.replace("$$", "$") for part in test[1:]]

    @property
    def once(self) -> bool:
        return bool(self.given["healthcheck"].get("disable"))

    @property
    def mounts(self) -> list[Mount]:
        """Volumes, without secrets."""
        found = []
        for text in self.given.get("volumes", []):
            source, target, *mode = text.split(":")
            found.append(Mount(source, target, mode == ["ro"]))
        return found


def initialise(into: Path, *options: str) -> Result:
    """Run `deploy.init` into a directory."""
    return CliRunner().invoke(command, ["--into", str(into), "--uid", str(UID), "--gid", str(GID), *options])


def services(files: tuple[str, ...] = PLAIN) -> dict[str, Service]:
    """Return the services of some files, later ones over earlier ones, as compose puts them together."""
    whole: dict[str, Any] = {}
    for file in files:
        whole = _over(whole, yaml.safe_load((ROOT / file).read_text("utf-8")))
    declared = {name: str(secret["file"]) for name, secret in whole["secrets"].items()}
    return {name: Service(name, given, _secrets(given, declared)) for name, given in whole["services"].items()}


def _secrets(given: dict[str, Any], declared: dict[str, str]) -> tuple[Mount, ...]:
    found = []
    for each in given.get("secrets", []):
        name = each if isinstance(each, str) else each["source"]
        target = f"/run/secrets/{name}" if isinstance(each, str) else each["target"]
        found.append(Mount(declared[name], target, True))
    return tuple(found)


def _over(below: Any, above: Any, key: str = "") -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {name: _over(below.get(name), above.get(name), name) for name in {**below, **above}}
    if isinstance(below, list) and isinstance(above, list) and key not in _REPLACED:
        targets = {_target(each) for each in above}
        return [each for each in below if _target(each) not in targets] + above
    return below if above is None else above


def _target(item: Any) -> str:
    """Return what makes an item of a list the same one: where a volume is mounted, the item itself elsewhere."""
    parts = str(item).split(":")
    return parts[1] if isinstance(item, str) and re.match(r"[./]", item) and len(parts) > 1 else str(item)
