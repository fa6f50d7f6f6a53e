"""The real `cardiosentry notify` in a process of its own."""

import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Producer

from contracts.alerts import Alert
from contracts.codec import encode
from contracts.topics import MODEL_ALERTS, SECURITY_ALERTS
from tests.support.serving import ROOT, command, environment
from tests.support.watchdog import Watchdog


class Notifying:
    """`cardiosentry notify` of the system under `prefix`, posting twice a second; leaving the context kills it."""

    def __init__(self, bootstrap: str, prefix: str, alertmanager: str, log: Path) -> None:
        self.log = log
        self._arguments = [
            *("notify", "--bootstrap", bootstrap, "--topic-prefix", prefix, "--group", f"{prefix}group"),
            *("--alertmanager", alertmanager, "--notify-interval-s", "0.5", "--runbooks", "https://hospital.example/"),
            *("--alert-page", "https://kibana.example/?id={event_id}"),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command(*self._arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=environment()
            )
        self._watchdog = Watchdog(self._process.pid)
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; return its exit code."""
        assert self._process
        assert self._watchdog
        self._watchdog.dismiss()
        self._process.send_signal(how)
        code = self._process.wait(30)
        self._process = None
        return code

    def text(self) -> str:
        """Return the log so far."""
        return self.log.read_text("utf-8", "replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self.stop(signal.SIGKILL)


def write_alerts(bootstrap: str, prefix: str, alerts: Iterable[Alert]) -> None:
    """Write alerts to the topic of their kind, and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for each in alerts:
        topic = MODEL_ALERTS if each.event.dataset == "cardiosentry.model" else SECURITY_ALERTS
        producer.produce(prefix + topic.name, encode(each), partition=0)
    assert producer.flush(30) == 0
