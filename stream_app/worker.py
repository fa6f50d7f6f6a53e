"""One worker process. `python -m stream_app.worker SLOT` reads its settings as one line of JSON from standard input.

The supervisor starts it so and keeps the pipe open: its end means that the supervisor is gone, and the worker stops.
"""

import os
import signal
import sys
import threading
import time

import msgspec

from contracts.errors import UserError
from contracts.settings import Settings
from stream_app.logs import set_up_logging

_STOP_S = 30.0
EXIT_USER_ERROR = 78  # sysexits.h EX_CONFIG: starting again would not help


def run_worker(settings: Settings, slot: int) -> None:
    """Run a worker until it is told to stop (SIGTERM, SIGINT). Raises `UserError` before it starts, never after."""
    from stream_app.app import create_app

    app = create_app(settings, slot)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what standard output was for, see `main`, is over
    # mode would redirect standard output into its log and set up its own; ours is one line an event
    worker = app.Worker(override_logging=False, redirect_stdouts=False, quiet=True, workdir=os.getcwd())
    worker.spinner = None
    worker.execute_from_commandline()


def main() -> None:
    """Entry point of a supervised worker; why it cannot start goes to standard output, for the supervisor to tell."""
    slot = int(sys.argv[1])
    settings = msgspec.json.decode(_read_line(), type=Settings)
    set_up_logging(f"slot={slot}", settings.log_format)
    threading.Thread(target=_stop_with_supervisor, daemon=True).start()
    try:
        run_worker(settings, slot)
    except UserError as error:
        print(error)
        sys.exit(EXIT_USER_ERROR)


# Standard input is read below Python's buffer: a thread that waits in it would hold its lock when the process ends.


def _read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def _stop_with_supervisor() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_S)
    os._exit(1)  # nobody is left to kill a worker that cannot stop


if __name__ == "__main__":
    main()
