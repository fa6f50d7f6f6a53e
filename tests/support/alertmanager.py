"""A real Alertmanager for tests, with the configuration that we ship, and somebody who takes its pages.

>>> with AlertmanagerServer() as alertmanager:  # doctest: +SKIP
...     alertmanager.pages("my-service")
"""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.support.ports import free_ports
from tests.support.server import Server
from tests.support.serving import get

SHIPPED = Path(__file__).parents[2] / "monitoring" / "alertmanager"
BINARY, AMTOOL = "prometheus-alertmanager", "amtool"


class AlertmanagerUnavailable(Exception):  # as KafkaUnavailable
    """This machine has no Alertmanager; the text says what is missing."""


def require() -> None:
    """Raise `AlertmanagerUnavailable` without Alertmanager and its tool."""
    for program in (BINARY, AMTOOL):
        if shutil.which(program) is None:
            raise AlertmanagerUnavailable(f"needs Debian's prometheus-alertmanager: {program} not found on PATH")


class Call(NamedTuple):
    """What somebody was called with."""

    at_s: float
    path: str
    body: dict[str, Any]


class Recorder:
    """Takes every call on a port of its own, as Slack, Telegram, PagerDuty, a heartbeat or a webhook."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                calls.append(Call(time.time(), self.path, json.loads(content)))
                answer = b'{"ok": true, "status": "success", "result": {"message_id": 1, "chat": {"id": 1}}}'
                self.send_response(202 if "pagerduty" in self.path else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def configuration(directory: Path, recorder: str, *, short: bool = True, own: bool = False) -> Path:
    """Write the shipped configuration with secrets of a test and all addresses on `recorder`; return it.

    Its times are `short`, and its heartbeat is of the system of whatever test, unless told otherwise: of its `own`.

    Debian 12's Alertmanager, 0.25, does not know the two newest fields that name a file: there its content stands in
    their place. Each receiver of people also tells a webhook, which has an alert's labels and state.
    """
    secrets = {
        "slack-url": f"{recorder}/slack",
        "pagerduty-key": "a" * 32,
        "telegram-token": "1:secret",
        "heartbeat-url": f"{recorder}/heartbeat",
    }
    for name, content in secrets.items():
        (directory / name).write_text(content, "utf-8")
    text = (SHIPPED / "alertmanager.yml").read_text("utf-8")
    if version() < (0, 26):
        for field, name in (("bot_token", "telegram-token"), ("url", "heartbeat-url")):
            text = re.sub(rf"\b{field}_file: \S*/{name}", f"{field}: {secrets[name]}", text)
    text = text.replace("/etc/alertmanager/secrets", str(directory)).replace("/etc/alertmanager", str(SHIPPED))
    text = text.replace("https://events.pagerduty.com/v2/enqueue", f"{recorder}/pagerduty")
    text = text.replace("https://api.telegram.org", f"{recorder}/telegram")
    if not own:
        text = text.replace('service = "cardiosentry"', 'service =~ ".+"')
    if short:
        text = re.sub(r"group_(wait|interval): (10s|2m|1m)", r"group_\1: 1s", text)
        text = text.replace("repeat_interval: 30s", "repeat_interval: 1s")
    text = re.sub(
        r"- name: (on-call|slack)\n",
        rf"- name: \1\n    webhook_configs: [{{url: '{recorder}/webhook/\1', send_resolved: true}}]\n",
        text,
    )
    file = directory / "alertmanager.yml"
    file.write_text(text, "utf-8")
    return file


def version() -> tuple[int, int]:
    """Return the version of the Alertmanager on PATH."""
    text = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


class AlertmanagerServer(Server):
    """One Alertmanager with a port and storage of its own, kept over `stop` and the next `start`.

    The times of its configuration are `short` unless told otherwise.
    """

    def __init__(self, *, short: bool = True) -> None:
        require()
        super().__init__("alertmanager")
        (self.port,) = free_ports(1)
        self.recorder = Recorder()
        self._config = configuration(self._dir, self.recorder.url, short=short)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def alerts(self, service: str) -> list[dict[str, Any]]:
        """Return the alerts that stand of a system, silenced and inhibited ones too, without the watchdog."""
        return [each for each in self._alerts(service) if each["labels"]["alertname"] != "Watchdog"]

    def has_watchdog(self, service: str) -> bool:
        return any(each["labels"]["alertname"] == "Watchdog" for each in self._alerts(service))

    def pages(self, service: str, receiver: str = "") -> list[tuple[str, str, frozenset[str]]]:
        """Return the pages of a system in their order: status, rule and the sources that it is about."""
        return [
            (
                call.body["status"],
                call.body["commonLabels"]["alertname"],
                frozenset(each["labels"].get("source", "") for each in call.body["alerts"]),
            )
            for call in list(self.recorder.calls)
            if call.path.startswith(f"/webhook/{receiver}") and call.body["commonLabels"]["service"] == service
        ]

    def heartbeats(self, service: str) -> int:
        """Return how often the outside was told that a system is watched."""
        return sum(
            call.path == "/heartbeat" and call.body["commonLabels"]["service"] == service
            for call in list(self.recorder.calls)
        )

    def silence(self, **labels: str) -> None:
        """Silence what has these labels for an hour."""
        now = time.time()
        matchers = [{"name": name, "value": value, "isRegex": False} for name, value in labels.items()]
        body = {
            "matchers": matchers,
            "startsAt": _time(now),
            "endsAt": _time(now + 3600),
            "createdBy": "a test",
            "comment": "maintenance",
        }
        request = urllib.request.Request(  # noqa: S310 - a page on this machine
            f"{self.url}/api/v2/silences", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            pass

    def close(self) -> None:
        """Stop it and who takes its pages, and delete what it stored."""
        super().close()
        self.recorder.close()

    def _alerts(self, service: str) -> list[dict[str, Any]]:
        filters = quote(f'service="{service}"')
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts?filter={filters}", timeout=5) as answer:  # noqa: S310
            found: list[dict[str, Any]] = json.load(answer)
            return found

    def _program(self) -> list[str]:
        return [
            *(BINARY, f"--config.file={self._config}", f"--storage.path={self._dir / 'data'}"),
            *(f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address=", "--log.level=info"),
        ]

    def _answers(self) -> bool:
        return get(f"{self.url}/-/ready")[0] == 200


def _time(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
