"""A server in a process of its own, with a directory of its own."""

import atexit
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.process import end, launched
from tests.support.watchdog import Watchdog


class Server(ABC):
    """One server; its directory is kept over `stop` or `kill` and the next `start`.

    Leaving the context stops it and deletes its directory; so does the end of this process, even by SIGKILL.
    """

    start_s = 30.0
    stop_s = 10.0
    """How long it may take to end before it is killed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._dir = Path(tempfile.mkdtemp(prefix=f"cardiosentry-{name}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it is not running."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self._dir / "log"

    def start(self) -> None:
        """Start the server and wait until it answers; raise what says so where this machine cannot run it."""
        if self._process:
            raise RuntimeError(f"{self._name}: already running")
        program = self._program()
        self._process = launched(
            program,
            self.log,
            cwd=self._dir,
            env=self._environment(),
            start_new_session=True,  # Ctrl-C is for the test run, which then stops the server in order
        )
        self._watch(self._process.pid)
        atexit.register(self.close)
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the server cleanly (SIGTERM); the data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop the server as a power cut would (SIGKILL); what reached the operating system stays."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop the server and delete its data."""
        atexit.unregister(self.close)
        self.stop()
        shutil.rmtree(self._dir, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _program(self) -> list[str]:
        """Return what to run, once what it needs is there."""

    def _environment(self) -> Mapping[str, str] | None:
        return None

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server does its work by now."""

    def _watch(self, pid: int) -> None:
        if self._watchdog:
            self._watchdog.dismiss()
        self._watchdog = Watchdog(pid, self._dir)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if self._watchdog:
            self._watchdog.dismiss()
        if process:
            end(process, how, self.stop_s)

    def _wait_until_it_answers(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + self.start_s
        while not self._answers():
            ended = process.poll()
            if ended is not None or time.monotonic() > deadline:
                what = f"no answer within {self.start_s:g} s" if ended is None else f"ended with exit code {ended}"
                wrote = "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-20:])
                raise RuntimeError(f"{self._name}: {what}: {wrote or 'it wrote nothing'}")
            time.sleep(0.05)
