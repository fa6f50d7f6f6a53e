"""The console's web server, without a broker: what it answers to whom, and that viewers do not hold each other up."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer

from contracts.alerts import Rule, alert
from contracts.codec import encode
from monitoring.console.access import COOKIE, Access
from monitoring.console.board import Board
from monitoring.console.hub import MOST_VIEWERS, Hub
from monitoring.console.server import Server

TOKEN = "5f" * 32
NOW = 1_790_000_000_000
ELSEWHERE = {"Host": "console.example"}

Client = TestClient[Any, Any]


@asynccontextmanager
async def served(board: Board, hub: Hub, token: str | None = TOKEN) -> AsyncIterator[Client]:
    server = Server(board, hub, Access(token, "127.0.0.1"), {"drift": "# Drift\n\n**Do:** look."})
    client: Client = TestClient(TestServer(server.application()))
    async with client:
        yield client


def run(test: Callable[[Client, Board, Hub], Awaitable[None]], token: str | None = TOKEN) -> None:
    async def inside() -> None:
        board, hub = Board(), Hub()
        async with served(board, hub, token) as client:
            await test(client, board, hub)

    asyncio.run(asyncio.wait_for(inside(), 20))


async def events(client: Client, count: int) -> list[tuple[str, Any]]:
    """Return the first events of a new viewer."""
    found: list[tuple[str, Any]] = []
    async with client.get("/events") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        name = ""
        async for line in answer.content:
            if line.startswith(b"event: "):
                name = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                found.append((name, json.loads(line[6:])))
                if len(found) == count:
                    break
    return found


PATHS = ["/", "/login", "/events", "/health", "/assets/app.js", "/assets/index.html", "/runbooks/drift", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, ELSEWHERE], ids=["here", "elsewhere"])
def test_every_answer_allows_its_own_files_alone_and_no_frame(path: str, headers: dict[str, str]) -> None:
    async def test(client: Client, _: Board, __: Hub) -> None:
        async with client.get(path, headers=headers, allow_redirects=False) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"

    run(test)


@pytest.mark.parametrize(
    ("path", "status"), [("/", 303), ("/events", 401), ("/runbooks/drift", 401), ("/nowhere", 401)]
)
def test_elsewhere_nothing_is_shown_without_the_token(path: str, status: int) -> None:
    async def test(client: Client, _: Board, __: Hub) -> None:
        async with client.get(path, headers=ELSEWHERE, allow_redirects=False) as answer:
            assert answer.status == status

    run(test)


def test_without_a_token_another_name_is_refused_and_this_machine_is_not() -> None:
    async def test(client: Client, _: Board, __: Hub) -> None:
        async with client.get("/", headers=ELSEWHERE) as answer:
            assert answer.status == 403
            assert "needs a token" in await answer.text()
        async with client.get("/") as answer:
            assert answer.status == 200

    run(test, token=None)


@pytest.mark.parametrize("proto", ["http", "https"])
def test_the_form_takes_the_token_once_and_gives_a_cookie_that_scripts_do_not_see(proto: str) -> None:
    async def test(client: Client, _: Board, __: Hub) -> None:
        headers = ELSEWHERE | {"X-Forwarded-Proto": proto}
        for wrong in ({"token": "6a" * 32}, {"token": ""}, {}):
            async with client.post("/login", data=wrong, headers=headers) as answer:
                assert (answer.status, COOKIE in answer.cookies) == (403, False)
                assert "not the token" in await answer.text()
        async with client.post("/login", data={"token": TOKEN}, headers=headers, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.cookies[COOKIE]
            said = answer.headers["Set-Cookie"]
        assert "HttpOnly" in said
        assert "SameSite=Strict" in said
        assert ("Secure" in said) is (proto == "https")
        assert TOKEN not in said
        async with ClientSession() as plain:
            url = client.make_url("/runbooks/drift")
            async with plain.get(url, headers=ELSEWHERE | {"Cookie": f"{COOKIE}={cookie.value}"}) as answer:
                assert (answer.status, await answer.text()) == (200, "# Drift\n\n**Do:** look.")
            async with plain.get(url, headers=ELSEWHERE | {"Authorization": f"Bearer {TOKEN}"}) as answer:
                assert answer.status == 200

    run(test)


def test_a_form_of_a_megabyte_is_refused() -> None:
    async def test(client: Client, _: Board, __: Hub) -> None:
        async with client.post("/login", data={"token": "x" * 1_000_000}) as answer:
            assert answer.status == 413

    run(test)


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded; charset=nope", "multipart/form-data; boundary=other", "text/plain"]
)
def test_a_form_of_another_make_is_refused(kind: str) -> None:
    async def test(client: Client, _: Board, __: Hub) -> None:
        async with client.post("/login", data=b"token=x", headers={"Content-Type": kind}) as answer:
            assert (answer.status, COOKIE in answer.cookies) == (403, False)

    run(test)


def test_whoever_comes_is_told_what_there_is_and_then_what_is_new() -> None:
    async def test(client: Client, board: Board, hub: Hub) -> None:
        hostile = "<img src=x onerror=alert(1)>"
        value = encode(
            alert(
                Rule("r", "R", "1", ""),
                hostile,
                at_ms=NOW,
                dataset="security",
                severity="low",
                labels={"source": "s\n\n"},
            )
        )
        board.alerts.take("security-alerts/0/1", value, dataset="security", at_ms=NOW, now_ms=NOW)
        first = asyncio.create_task(events(client, 4))
        while not len(hub):
            await asyncio.sleep(0.01)
        hub.say("new", board.alerts.recent(NOW))
        told = await first
        assert [name for name, _ in told] == ["models", "alerts", "tick", "new"]
        assert told[3][1][0]["message"] == hostile
        assert told[3][1][0]["labels"] == {"source": "s\n\n"}  # a line of a record ends no event

    run(test)


def test_a_viewer_who_does_not_read_is_let_go_and_the_others_are_told() -> None:
    hub = Hub()
    with hub.join() as slow, hub.join() as quick:
        for number in range(40):
            hub.say("tick", number)
            assert quick.get_nowait() == b"event: tick\ndata: %d\n\n" % number
        assert len(hub) == 1
        said = [slow.get_nowait() for _ in range(slow.qsize())]
        assert said[-1] is None
        assert len(said) == 33
        assert hub.let_go == 1
        hub.close()
    assert (len(hub), hub.let_go) == (0, 1)  # who is told that the console ends was not too slow


def test_there_is_an_end_to_viewers() -> None:
    async def test(client: Client, _: Board, hub: Hub) -> None:
        joined = [hub.join() for _ in range(MOST_VIEWERS)]
        for each in joined:
            each.__enter__()
        async with client.get("/events") as answer:
            assert answer.status == 503

    run(test)
