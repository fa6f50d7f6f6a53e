"""Handing alerts over: to each Alertmanager of a cluster, with a login, and never half."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from contracts.errors import RetryableError, UserError
from monitoring.notify import Posted
from monitoring.notify_alertmanager import Alertmanager
from tests.support.ports import free_ports


class Peer(ThreadingHTTPServer):
    """An Alertmanager that answers as it is told and keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.headers: dict[str, str] = {}
        self.got: list[list[dict[str, dict[str, str]]]] = []
        self.logins: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Peer)
        assert self.path == "/api/v2/alerts"
        self.server.logins.append(self.headers["Authorization"])
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        for name, value in {"Content-Length": "0", **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        assert isinstance(self.server, Peer)
        self.server.logins.append(self.headers["Authorization"])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def alerts(count: int) -> list[Posted]:
    time = "2026-09-21T14:13:20.000Z"
    return [Posted({"alertname": f"rule-{number}"}, {}, time, time) for number in range(count)]


def away() -> str:
    (port,) = free_ports(1)
    return f"http://127.0.0.1:{port}"


def test_each_of_a_cluster_gets_every_alert_and_one_that_is_away_keeps_nothing_up(peer: Peer) -> None:
    Alertmanager([away(), peer.url + "/"]).post(alerts(1200))
    assert [len(part) for part in peer.got] == [500, 500, 200]
    assert [each["labels"] for part in peer.got for each in part] == [each.labels for each in alerts(1200)]


def test_where_none_takes_them_the_alerts_wait(peer: Peer) -> None:
    with pytest.raises(RetryableError, match="Connection refused"):
        Alertmanager([away(), away()]).post(alerts(1))
    peer.status = 503
    with pytest.raises(RetryableError, match="HTTP 503"):
        Alertmanager([peer.url]).post(alerts(1))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_has_taken_nothing_and_is_not_followed(peer: Peer, status: int) -> None:
    with Peer() as elsewhere:
        peer.status, peer.headers = status, {"Location": f"{elsewhere.url}/api/v2/alerts"}
        with pytest.raises(RetryableError, match=f"HTTP {status}"):
            Alertmanager([peer.url], "ada:s3cret").post(alerts(1))
        elsewhere.timeout = 0.2
        elsewhere.handle_request()
        assert elsewhere.logins == []


def test_a_password_goes_to_another_host_by_tls_alone() -> None:
    with pytest.raises(UserError, match="expected https, since a key or password"):
        Alertmanager(["http://alertmanager.example:9093"], "ada:s3cret")
    Alertmanager(["http://localhost:9093", "https://alertmanager.example"], "ada:s3cret")
    Alertmanager(["http://alertmanager.example:9093"])


def test_the_login_is_sent_and_shows_in_no_error(peer: Peer) -> None:
    peer.status = 401
    with pytest.raises(RetryableError) as failed:
        Alertmanager([peer.url], "ada:s3cret").post(alerts(1))
    assert peer.logins == ["Basic " + base64.b64encode(b"ada:s3cret").decode()]
    assert "s3cret" not in str(failed.value)


WRONG = {
    "empty": "",
    "no scheme": "localhost:9093",
    "a file": "file:///etc/passwd",
    "no host": "http://",
    "half an address of IPv6": "http://[::1",
    "a port that is none": "http://localhost:99999",
    "a host with an empty part": "https://a..b:9093",
    "a host that is not ASCII": "https://\u00e4..b:9093",
    "a space in it": "http://localhost:9093/ x",
    "a query": "http://localhost:9093/?tenant=s3cret",
    "a password in it": "http://ada:s3cret@localhost:9093",
}


@pytest.mark.parametrize("name", WRONG)
def test_an_address_that_is_none_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(UserError, match="setting alertmanager: expected") as failed:
        Alertmanager([WRONG[name]])
    assert "s3cret" not in str(failed.value)
