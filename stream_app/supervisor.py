"""Keeps N workers running: a stable slot each, started again with back-off when one dies."""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from contracts.errors import UserError
from contracts.settings import Settings
from stream_app.slot import EXIT_FENCED, slot_name
from stream_app.worker import EXIT_USER_ERROR

log = logging.getLogger("cardiosentry")

_FIRST_BACK_OFF_S = 0.2
_MAX_BACK_OFF_S = 30.0
_HEALTHY_S = 10.0  # whoever ran so long did not die of its start, and starts again without the back-off of its past
_STOP_S = 30.0  # time to finish and commit, before SIGKILL
_TICK_S = 0.1


@dataclass
class _Slot:
    number: int
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    start_at: float = 0.0
    back_off_s: float = field(default=_FIRST_BACK_OFF_S)


class Supervisor:
    """Runs `settings.workers` processes until SIGTERM or SIGINT; what a worker held when it died is done again.

    `require_free` is asked before one takes a name back that it lost; it raises `UserError` where another has it.
    """

    def __init__(self, settings: Settings, require_free: Callable[[str], None]) -> None:
        self._settings = settings
        self._require_free = require_free
        self._slots = [_Slot(number) for number in range(settings.workers)]
        self._stopping = False
        self._proven = False  # with these settings a worker has run well

    def run(self) -> None:
        """Block until told to stop. Raises `UserError` if a worker refuses its settings or files, or lost its name."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        try:
            while not self._stopping:
                for slot in self._slots:
                    self._tend(slot)
                time.sleep(_TICK_S)
        finally:
            self._finish()

    def _tend(self, slot: _Slot) -> None:
        now = time.monotonic()
        if slot.process is None:
            if now >= slot.start_at:
                self._start(slot)
            return
        code = slot.process.poll()
        if code is None:
            return
        reason = slot.process.stdout.read().decode().strip() if slot.process.stdout else ""
        slot.process = None
        if now - slot.started_at > _HEALTHY_S:
            slot.back_off_s = _FIRST_BACK_OFF_S
            self._proven = True
        if code == EXIT_FENCED:  # started again at once it would throw the other out, which would throw it out
            self._require_free(slot_name(self._settings, slot.number))
        if code == EXIT_USER_ERROR:
            if not self._proven and not self._others_run_well(now):
                raise UserError(reason)
            slot.back_off_s = _MAX_BACK_OFF_S  # files may be in the middle of a change; the other workers go on
        slot.start_at = now + slot.back_off_s
        log.warning("worker died slot=%d exit=%d restart_in_s=%.1f %s", slot.number, code, slot.back_off_s, reason)
        slot.back_off_s = min(slot.back_off_s * 2, _MAX_BACK_OFF_S)

    def _others_run_well(self, now: float) -> bool:
        return any(slot.process is not None and now - slot.started_at > _HEALTHY_S for slot in self._slots)

    def _start(self, slot: _Slot) -> None:
        # A session of its own: Ctrl-C reaches the supervisor alone, which then stops the workers in good order.
        slot.process = subprocess.Popen(
            [sys.executable, "-m", "stream_app.worker", str(slot.number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        slot.started_at = time.monotonic()
        assert slot.process.stdin is not None  # noqa: S101 - asked for above
        try:
            slot.process.stdin.write(msgspec.json.encode(self._settings) + b"\n")
            slot.process.stdin.flush()  # stays open: its end tells the worker that we are gone
        except BrokenPipeError:
            pass  # it died already; the next look sees that

    def _stop(self) -> None:
        self._stopping = True

    def _finish(self) -> None:
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("worker killed pid=%d it did not stop within %d s", process.pid, _STOP_S)
                process.kill()
                process.wait()
