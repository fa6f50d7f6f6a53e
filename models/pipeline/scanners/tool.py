"""Runs a tool that is a program of its own. Whatever is not a report of a run that went well is a failure.

A tool sees copies of the files and an environment of its own: no setting of the scanned source, of the user or of the
machine may switch off what the policy asks for.
"""

import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.scanners.reading import Reading, ScannerFailed, one_line
from models.pipeline.scanners.tree import Tree

MAX_REPORT_BYTES = 64 << 20
VERSION_TIMEOUT_S = 60

# How a tool finds its way to a vulnerability database behind a proxy; nothing else of ours is its business.
_PASSED_ON = (
    *("PATH", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy"),
    *("no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)

Meaning = Literal["clean", "findings", "unread"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run: `files` (relative to the tree's root) to look at; `work`, an empty directory for report and settings."""

    tree: Tree
    files: tuple[str, ...]
    policy: SecurityPolicy
    work: Path

    @property
    def report(self) -> Path:
        return self.work / "report"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One program: how it is called, asked for its version, and understood.

    `program` is an executable on PATH or in the policy's directory of tools, or a Python module "python -m NAME" of
    `distribution`. `exits` are the exit codes of a run that went well and what they say of the report; any other is a
    failure. `before` raises `ScannerFailed` where a run would prove nothing.
    """

    program: str
    distribution: str = ""
    version: tuple[str, ...] = ()
    arguments: Callable[[Job], list[str]]
    environment: Callable[[Job], dict[str, str]] = lambda _: {}
    before: Callable[[Job], None] = lambda _: None
    exits: Mapping[int, Meaning]
    read: Callable[[Job, bytes], Reading]

    def run(self, job: Job) -> tuple[Reading, str]:
        """Return what it read and the tool's version; raise `ScannerFailed`."""
        command = self._command(job.policy)
        version = self._version(command, job)
        self.before(job)
        code, said = self._call([*command, *self.arguments(job)], job, job.policy.timeout_s)
        if code not in self.exits:
            raise ScannerFailed(f"expected exit code {_either(self.exits)}, got {code}: {said or 'no word'}")
        reading = self._read(job, code, said)
        meaning = self.exits[code]
        if (meaning == "findings" and not reading.found) or (meaning == "unread" and not reading.unread):
            raise ScannerFailed(f"expected {meaning} in the report, as exit code {code} says, got none")
        return reading, version

    def _command(self, policy: SecurityPolicy) -> list[str]:
        if self.distribution:
            try:
                importlib.metadata.version(self.distribution)
            except importlib.metadata.PackageNotFoundError:
                raise ScannerFailed(f"expected {self.distribution} beside this Python, found none") from None
            return [sys.executable, "-I", "-m", self.program]
        found = shutil.which(self.program, path=os.pathsep.join((policy.tools, os.environ.get("PATH", os.defpath))))
        if found is None:
            raise ScannerFailed(f"expected the program {self.program} in {policy.tools} or on PATH, found none")
        return [os.path.abspath(found)]

    def _version(self, command: list[str], job: Job) -> str:
        if self.distribution:
            return importlib.metadata.version(self.distribution)
        code, said = self._call([*command, *self.version], job, VERSION_TIMEOUT_S)
        if code:
            raise ScannerFailed(f"expected its version, got exit code {code}: {said or 'no word'}")
        return said.partition(" commit:")[0].rpartition(" ")[2]

    def _call(self, command: list[str], job: Job, timeout_s: float) -> tuple[int, str]:
        """Return exit code and the last words; what a tool starts ends with it."""
        output = job.work / "output"
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {"HOME": str(job.work), "TMPDIR": str(job.work), "LANG": "C.UTF-8", **self.environment(job)}
        with output.open("wb") as file:
            try:
                process = subprocess.Popen(
                    command,
                    cwd=job.tree.root,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
            except OSError as error:
                raise ScannerFailed(f"expected a program that starts: {error.strerror}") from None
            try:
                code = process.wait(timeout_s)
            except BaseException as error:  # whoever interrupts leaves no scanner behind
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise ScannerFailed(f"expected an end within {timeout_s:g} s, got none") from None
                raise
        with output.open("rb") as file:
            file.seek(max(0, output.stat().st_size - 2000))
            return code, one_line(file.read().decode("utf-8", "replace")[-200:])

    def _read(self, job: Job, code: int, said: str) -> Reading:
        size = job.report.stat().st_size if job.report.is_file() else 0
        if not 0 < size <= MAX_REPORT_BYTES:
            got = f"{size} and exit code {code}: {said or 'no word'}"
            raise ScannerFailed(f"expected a report of 1 to {MAX_REPORT_BYTES} bytes, got {got}")
        try:
            return self.read(job, job.report.read_bytes())
        except msgspec.DecodeError as error:
            raise ScannerFailed(f"expected a report of the form that we know: {one_line(str(error))}") from None


def _either(codes: Mapping[int, Meaning]) -> str:
    return " or ".join(str(code) for code in sorted(codes))
