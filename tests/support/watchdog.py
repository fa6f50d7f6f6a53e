"""Nothing that a test started outlives the test run, in whatever way that ends."""

import subprocess
from pathlib import Path

# Waits for the end of its input, which comes when the process that holds the other end dies, even by SIGKILL.
_SCRIPT = 'read -r _; kill -9 "$1"; [ -z "$2" ] || { sleep 0.5; rm -rf -- "$2"; }'


class Watchdog:
    """Kills process `pid` and deletes `directory` when this process ends before `dismiss` was called."""

    def __init__(self, pid: int, directory: Path | None = None) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", _SCRIPT, "sh", str(pid), str(directory or "")], stdin=subprocess.PIPE, start_new_session=True
        )

    def dismiss(self) -> None:
        """End without doing anything."""
        assert self._process.stdin
        self._process.kill()  # before its input ends: the process id may be another's by then
        self._process.wait()
        self._process.stdin.close()
