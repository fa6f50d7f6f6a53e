"""The web server of the console: a page, its files, a stream of events, a form that takes the token. It only reads."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from aiohttp import web

from monitoring.console.access import COOKIE, PROXIED, SESSION_S, Access
from monitoring.console.board import Board
from monitoring.console.hub import Hub, sse
from monitoring.console.pages import HEADERS, Page, read_pages

_PUBLIC = {"/login", "/health"}
_MOST_BYTES = 4096  # of a form
_TICK_S = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Serves `board` to the viewers of `hub`; `runbooks` are texts (Markdown) by a rule's id."""

    def __init__(self, board: Board, hub: Hub, access: Access, runbooks: Mapping[str, str]) -> None:
        self._board, self._hub, self._access, self._runbooks = board, hub, access, runbooks
        self._pages = read_pages()

    def application(self) -> web.Application:
        """Return the application; whoever runs it runs `tick` beside it."""
        application = web.Application(middlewares=[self._guard], client_max_size=_MOST_BYTES)
        application.on_response_prepare.append(_add_headers)
        application.add_routes(
            [
                web.get("/", self._page("index.html")),
                web.get("/login", self._page("login.html")),
                web.post("/login", self._log_in),
                web.get("/health", self._health),
                web.get("/events", self._events),
                web.get("/runbooks/{rule}", self._runbook),
                web.get("/assets/{name}", self._asset),
            ]
        )
        return application

    async def tick(self) -> None:
        """Say every second what changed, as long as somebody looks."""
        while True:
            await asyncio.sleep(_TICK_S)
            if len(self._hub):
                self._hub.say("tick", self._board.tick(_now_ms()))

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        allowed = self._access.allows(
            host=request.headers.get("Host", ""),
            proxied=not request.headers.keys().isdisjoint(PROXIED),
            cookie=request.cookies.get(COOKIE),
            authorization=request.headers.get("Authorization"),
        )
        if allowed or request.path in _PUBLIC or request.path.startswith("/assets/"):
            return await handler(request)
        if not self._access.has_token:
            return web.Response(status=403, text="expected a request to localhost; another name needs a token\n")
        if request.path == "/":
            raise web.HTTPSeeOther("/login")
        return web.Response(status=401, text="expected a session or a token\n", headers={"WWW-Authenticate": "Bearer"})

    def _page(self, name: str) -> Handler:
        async def answer(_: web.Request) -> web.Response:
            return _served(self._pages[name])

        return answer

    async def _asset(self, request: web.Request) -> web.Response:
        page = self._pages.get(request.match_info["name"])
        if page is None or page.content_type == "text/html":
            raise web.HTTPNotFound
        return _served(page)

    async def _runbook(self, request: web.Request) -> web.Response:
        text = self._runbooks.get(request.match_info["rule"])
        if text is None:
            raise web.HTTPNotFound
        return web.Response(text=text)

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _log_in(self, request: web.Request) -> web.Response:
        try:
            given = (await request.post()).get("token")
        except (ValueError, LookupError):  # a form of another make, in an encoding that nobody has
            given = None
        if not isinstance(given, str) or not self._access.is_token(given):
            return _served(_refused(self._pages["login.html"]), status=403)
        answer = web.Response(status=303, headers={"Location": "/"})
        secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
        session = self._access.session()
        answer.set_cookie(COOKIE, session, max_age=SESSION_S, httponly=True, samesite="Strict", secure=secure)
        return answer

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._hub.is_full:
            return web.Response(status=503, text="expected fewer viewers\n")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        with self._hub.join() as queue, suppress(ConnectionError):
            await response.write(
                b"retry: 1000\n\n"
                + sse("models", self._board.models)
                + sse("alerts", self._board.alerts.recent(_now_ms()))
                + sse("tick", self._board.tick(_now_ms()))
            )
            while (said := await queue.get()) is not None:
                await response.write(said)
        return response


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _refused(page: Page) -> Page:
    said = b'<p class="error" role="alert">That is not the token. Try again.</p>'
    return Page(page.body.replace(b"<!-- refused -->", said), page.content_type)


def _served(page: Page, status: int = 200) -> web.Response:
    return web.Response(body=page.body, content_type=page.content_type, charset="utf-8", status=status)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
