"""The console's process: feeds, ticks and the web server in one event loop, until it is told to end."""

import asyncio
import signal
from collections.abc import Callable, Mapping

from aiohttp import web

from contracts.errors import UserError
from monitoring.console.access import Access
from monitoring.console.board import Board
from monitoring.console.feeds import Catalogue, Feeds
from monitoring.console.hub import Hub
from monitoring.console.server import Server
from monitoring.meters import Meters


def run(
    properties: Mapping[str, object],
    prefix: str,
    catalogue: Catalogue,
    access: Access,
    runbooks: Mapping[str, str],
    *,
    host: str,
    port: int,
    meters: Meters,
    started: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM; `started` is told the page's address, `meters` are given what to show.

    `properties` are librdkafka's. Raises `UserError` where the port is taken or a topic cannot be read.
    """
    board, hub = Board(), Hub()
    feeds = Feeds(properties, prefix, board, hub, catalogue)
    meters.add("cardiosentry_console_viewers", lambda: {"": len(hub)})
    meters.add("cardiosentry_console_let_go_total", lambda: {"": hub.let_go})
    meters.add("cardiosentry_console_lag_records", lambda: feeds.lag)
    meters.add("cardiosentry_console_kafka_timestamp_seconds", lambda: {"": board.kafka_at / 1000})
    try:
        asyncio.run(_run(feeds, Server(board, hub, access, runbooks), hub, host, port, started))
    except* UserError as errors:
        raise _first(errors) from None


async def _run(feeds: Feeds, server: Server, hub: Hub, host: str, port: int, started: Callable[[str], None]) -> None:
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(feeds.run()), tasks.create_task(server.tick())]
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, lambda: [task.cancel() for task in work])
            place = runner.addresses[0]
            shown = f"[{place[0]}]" if ":" in place[0] else place[0]
            started(f"http://{shown}:{place[1]}")
    finally:
        hub.close()
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError):
        raise UserError(
            f"setting console_port: expected a free port on {host}, {port} cannot be had; another console may run here"
        ) from None


def _first(errors: BaseExceptionGroup[UserError]) -> UserError:
    (error, *_) = errors.exceptions
    return error if isinstance(error, UserError) else _first(error)
