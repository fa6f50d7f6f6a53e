"""The command `cardiosentry`, and other programs, in processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.watchdog import Watchdog

ROOT = Path(__file__).parents[2]


class CommandProcess:
    """`cardiosentry` with some arguments; what it writes goes to `log`, which a restart appends to.

    Leaving the context ends it by the signal `leave`; it never outlives this process.
    """

    stop_s = 30.0
    """How long it may take to end: `stop` raises `subprocess.TimeoutExpired` after that."""

    def __init__(
        self,
        log: Path,
        *arguments: str,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        leave: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._arguments, self._cwd, self._leave = arguments, cwd, leave
        self._added = env or {}
        self._watchdog: Watchdog | None = None

    @property
    def _env(self) -> dict[str, str]:
        return {**environment(), **self._added}  # asked at each start: a test may change it meanwhile

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def start(self) -> Self:
        """Start it; do not wait."""
        self.process = launched(command(*self._arguments), self.log, cwd=self._cwd, env=self._env)
        self._watchdog = Watchdog(self.process.pid)
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal, if it runs, and return its exit code."""
        assert self.process
        assert self._watchdog
        self.process.send_signal(how)
        code = self.process.wait(self.stop_s)
        self._watchdog.dismiss()
        return code

    def wait(self, timeout_s: float) -> int:
        """Wait until it ends by itself and return its exit code."""
        assert self.process
        return self.process.wait(timeout_s)

    def text(self) -> str:
        """Return the log so far."""
        return self.log.read_text("utf-8", "replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process:
            self.stop(self._leave)


def run_command(
    *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 240.0
) -> "subprocess.CompletedProcess[str]":
    """Run `cardiosentry` to its end, `env` added to its environment; return how it ended and what it wrote."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env={**environment(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def launched(program: Sequence[str], log: Path, **options: Any) -> "subprocess.Popen[bytes]":
    """Start a program that reads nothing and writes to the end of `log`; `options` are those of `Popen`."""
    with log.open("ab") as output:
        return subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)


def end(process: "subprocess.Popen[bytes]", how: signal.Signals, timeout_s: float) -> None:
    """Send a process a signal, and kill it if it runs `timeout_s` later."""
    process.send_signal(how)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def command(*arguments: str) -> list[str]:
    """Return how to run the command `cardiosentry` with this interpreter."""
    return [sys.executable, "-m", "cli", *arguments]


def environment() -> dict[str, str]:
    """Return this process's environment without settings of CardioSentry."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CARDIOSENTRY_")}
