"""Who takes part, and how each is started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.environments import PEERS, ROOT, pinned_version, python_of
from benchmarks.peers.job import JobSettings
from contracts.topics import EVENTS, PREDICTIONS, QUARANTINE
from tests.support.process import end, launched
from tests.support.site import Site, release

STOP_TIMEOUT_S = 20


Input = Literal["unsigned", "signed", "garbage"]


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One way of doing the job. `share` is how much of the input it gets: slow ones need less for as long a run."""

    name: str
    label: str
    guarantee: str
    share: float = 1.0
    input: Input = "unsigned"
    settings: dict[str, str] = {}  # CardioSentry's, as CARDIOSENTRY_…
    peer: str | None = None  # the name of the environment, for the others' libraries
    package: str = ""

    @property
    def output(self) -> str:
        """The topic that a record of the input comes out at."""
        return QUARANTINE.name if self.input == "garbage" else PREDICTIONS.name

    @property
    def title(self) -> str:
        return f"{self.label} {pinned_version(self.peer, self.package)}" if self.peer else self.label


UNSIGNED = {"require_mac": "false"}

CONTENDERS = (
    Contender(name="floor", label="confluent-kafka loop (floor)", guarantee="exactly once"),
    Contender(name="cardiosentry", label="CardioSentry", guarantee="exactly once", settings=UNSIGNED),
    Contender(
        name="cardiosentry-undetected", label="CardioSentry, detectors off", guarantee="exactly once", settings=UNSIGNED
    ),
    Contender(
        name="cardiosentry-authenticated",
        label="CardioSentry, authenticated",
        guarantee="exactly once",
        input="signed",
        settings={"require_mac": "true"},
    ),
    Contender(
        name="cardiosentry-two-workers",
        label="CardioSentry, two workers",
        guarantee="exactly once",
        settings={"workers": "2", **UNSIGNED},
    ),
    Contender(
        name="cardiosentry-garbage",
        label="CardioSentry, nothing but garbage",
        guarantee="exactly once",
        share=0.5,
        input="garbage",
        settings=UNSIGNED,
    ),
    Contender(
        name="cardiosentry-at-least-once",
        label="CardioSentry",
        guarantee="at least once",
        settings={"delivery": "at-least-once", **UNSIGNED},
    ),
    Contender(
        name="quix",
        label="Quix Streams",
        guarantee="exactly once",
        share=0.25,
        peer="quix",
        package="quixstreams",
    ),
    Contender(
        name="bytewax",
        label="Bytewax",
        guarantee="at least once at best",
        share=0.25,
        peer="bytewax",
        package="bytewax",
    ),
    Contender(
        name="faust",
        label="Faust as it ships,",
        guarantee="at least once",
        share=0.02,
        peer="faust",
        package="faust-streaming",
    ),
)


class Place(msgspec.Struct, frozen=True):
    """Where a contender runs: broker, prefix of the topics, a fresh group, the model, a directory to write to."""

    bootstrap: str
    prefix: str
    group: str
    bundle: Path
    keys: Path
    scratch: Path


class Running(msgspec.Struct, frozen=True):
    """A contender at work."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise `RuntimeError` with the end of its log if it is no longer running."""
        code = self.process.poll()
        if code is not None:
            lines = self.log.read_text("utf-8", "replace").splitlines()[-20:]
            raise RuntimeError("\n".join([f"contender ended by itself with exit code {code}:", *lines]))


@contextmanager
def running(contender: Contender, place: Place) -> Iterator[Running]:
    """Start the contender, yield it, end it: SIGTERM first, so that no transaction stays open."""
    if contender.name.startswith("cardiosentry"):
        release(Site(place.bundle, place.keys, place.scratch / "store"), place.bootstrap, place.prefix)
    command, environ = command_of(contender, place)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CARDIOSENTRY_", "BENCH_"))}
    log = place.scratch / f"{contender.name}.log"
    process = launched(command, log, env={**inherited, **environ}, cwd=place.scratch)
    try:
        yield Running(process, log)
    finally:
        end(process, signal.SIGTERM, STOP_TIMEOUT_S)


def command_of(contender: Contender, place: Place) -> tuple[list[str], dict[str, str]]:
    """Return the command line of a contender and what its environment adds."""
    if contender.name.startswith("cardiosentry"):
        settings = _settings(place) | contender.settings
        undetected = contender.name == "cardiosentry-undetected"
        command = [sys.executable, "-m", "benchmarks.undetected"] if undetected else [cardiosentry(), "serve"]
        return command, {"PYTHONPATH": str(ROOT)} | {f"CARDIOSENTRY_{k.upper()}": v for k, v in settings.items()}
    job = JobSettings(
        bootstrap=place.bootstrap,
        input=place.prefix + EVENTS.name,
        output=place.prefix + PREDICTIONS.name,
        group=place.group,
        model=str(place.bundle / "model.onnx"),
        scratch=str(place.scratch),
    )
    environ = {"PYTHONPATH": str(ROOT), **job.to_environ()}
    match contender.peer:
        case None:
            return [sys.executable, "-m", "benchmarks.floor"], environ
        case "quix" as peer:
            return [str(python_of(peer)), str(PEERS / "quix.py")], environ
        case "bytewax" as peer:
            return [str(python_of(peer)), "-m", "bytewax.run", "benchmarks.peers.bytewax_flow"], environ
        case "faust" as peer:
            script = str(PEERS / "faust_plain.py")
            return [str(python_of(peer)), script, "worker", "-l", "warn", "--without-web"], environ
        case _:
            raise ValueError(f"contender {contender.name}: expected a known peer, got {contender.peer!r}")


def _settings(place: Place) -> dict[str, str]:
    return {
        "bootstrap": place.bootstrap,
        "topic_prefix": place.prefix,
        "store": str(place.scratch / "store"),
        "state": str(place.scratch / "state"),
        "keys": str(place.keys),
        "group": place.group,
        "web_port": "0",
    }


def make_bundle(directory: Path) -> tuple[Path, Path]:
    """Make keys and a signed model the way a user does; return the directories of bundle and keys."""
    bundle, keys = directory / "bundle", directory / "keys"
    subprocess.run([cardiosentry(), "keys", "generate", str(keys)], check=True, stdout=subprocess.DEVNULL)
    train(bundle, keys)
    return bundle, keys


def train(bundle: Path, keys: Path, *options: str) -> None:
    """Train and sign a model at `bundle`; another `--seed` gives another one."""
    command = [cardiosentry(), "train", "--out", str(bundle), "--keys", str(keys), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def cardiosentry() -> str:
    """Return the path of our command."""
    return str(Path(sys.executable).parent / "cardiosentry")
