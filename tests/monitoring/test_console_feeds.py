"""What the console reads of a broker: bounded, from where it is of use, and it says when nobody answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack

from confluent_kafka import Producer

from contracts.alerts import Rule, alert
from contracts.codec import encode
from contracts.topics import MODEL_ALERTS, PREDICTIONS, QUARANTINE, RELEASES, SECURITY_ALERTS, SIGNALS, Topic
from monitoring.console.board import Board, Models, ShownModel
from monitoring.console.drift import Reference
from monitoring.console.feeds import Feeds
from monitoring.console.hub import Hub
from monitoring.reader import TopicReader
from tests.support.broker import Broker
from tests.support.embedded import embedded_broker

READ_S = 15.0
ROW = ShownModel(stage="champion", digest="sha256:7", since=1, until=None, signed_by=("Ada",), reason="", release=1)


class Remembers:
    """A catalogue that keeps what it is given."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def read(self, values: Sequence[bytes]) -> tuple[Models, Reference | None]:
        self.values += values
        return Models((ROW,) if self.values else ()), None


def write(bootstrap: str, topic: Topic, values: Sequence[bytes], reason: bytes | None = None) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        headers: dict[str, str | bytes | None] = {"cs-reason": reason} if reason else {}
        producer.produce(topic.name, value, partition=0, headers=headers)
        producer.poll(0)
    assert producer.flush(30) == 0


def told(source: str) -> bytes:
    rule = Rule("replayed-events", "Events that came before", "1", "")
    at_ms = time.time_ns() // 1_000_000
    return encode(alert(rule, source, at_ms=at_ms, dataset="security", severity="high", labels={"source": source}))


def predictions(count: int) -> list[bytes]:
    at_ms = time.time_ns() // 1_000_000
    made = {"probability": 0.5, "threshold": 0.4, "observed_at": at_ms - 20, "scored_at": at_ms}
    return [encode(made)] * count


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READ_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def reading(bootstrap: str, test: Callable[[Board, Hub, Remembers], Awaitable[None]]) -> None:
    async def inside() -> None:
        board, hub, catalogue = Board(), Hub(), Remembers()
        properties = {"bootstrap.servers": bootstrap, "fetch.wait.max.ms": "10", "log_level": "0"}
        task = asyncio.create_task(Feeds(properties, "", board, hub, catalogue).run())
        try:
            await test(board, hub, catalogue)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(inside())


def make_topics(bootstrap: str) -> None:
    for topic in (SECURITY_ALERTS, MODEL_ALERTS, PREDICTIONS, QUARANTINE, RELEASES, SIGNALS):
        Producer({"bootstrap.servers": bootstrap}).list_topics(topic.name, timeout=10)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_what_was_before_is_read_of_alerts_releases_and_quarantine_and_what_comes_of_all(embedded: Broker) -> None:
    make_topics(embedded.bootstrap)
    write(embedded.bootstrap, SECURITY_ALERTS, [told("before")])
    write(embedded.bootstrap, MODEL_ALERTS, [told("model")])
    write(embedded.bootstrap, RELEASES, [b"first", b"second"])
    write(embedded.bootstrap, QUARANTINE, [b"sealed"] * 3, b"mac_wrong")
    write(embedded.bootstrap, PREDICTIONS, predictions(5))

    async def test(board: Board, hub: Hub, catalogue: Remembers) -> None:
        await until(lambda: len(board.alerts.recent(now_ms())) == 2 and board.models.rows == (ROW,))
        await until(lambda: board.tick(now_ms()).quarantined == {"mac_wrong": 3})
        assert catalogue.values == [b"first", b"second"]
        assert {each.dataset for each in board.alerts.recent(now_ms())} == {"security", "model"}
        assert sum(board.tick(now_ms()).risks) == 0
        with hub.join() as viewer:
            await asyncio.to_thread(write, embedded.bootstrap, SECURITY_ALERTS, [told("now")])
            await asyncio.to_thread(write, embedded.bootstrap, PREDICTIONS, predictions(7))
            said = await asyncio.wait_for(viewer.get(), READ_S)
            assert said is not None
            assert said.startswith(b"event: new\n")
            assert b'"source":"now"' in said
        await until(lambda: sum(board.tick(now_ms()).risks) == 7)
        assert not board.tick(now_ms()).sampled

    reading(embedded.bootstrap, test)


def test_of_a_flood_of_predictions_a_part_is_read_and_then_what_is_new(embedded: Broker) -> None:
    make_topics(embedded.bootstrap)

    async def test(board: Board, _: Hub, __: Remembers) -> None:
        await until(lambda: board.tick(now_ms()).kafka_since is None)
        await asyncio.to_thread(write, embedded.bootstrap, PREDICTIONS, predictions(20_000))
        await until(lambda: board.tick(now_ms()).sampled)
        read = 0

        async def settled() -> bool:
            nonlocal read
            before, read = read, sum(board.tick(now_ms()).risks)
            await asyncio.sleep(0.7)  # more than a read waits
            return before == read

        while not await settled():
            pass
        assert 250 <= read < 10_000
        await asyncio.to_thread(write, embedded.bootstrap, PREDICTIONS, predictions(3))
        await until(lambda: sum(board.tick(now_ms()).risks) == read + 3)

    reading(embedded.bootstrap, test)


def test_what_is_not_read_yet_is_known_by_topic(embedded: Broker) -> None:
    make_topics(embedded.bootstrap)
    write(embedded.bootstrap, SIGNALS, [b"{}"] * 20)
    properties = {"bootstrap.servers": embedded.bootstrap, "fetch.wait.max.ms": "10"}
    with TopicReader(properties, [SIGNALS.name, RELEASES.name], beginning=True) as reader:
        assert reader.lag() == {SIGNALS.name: 0, RELEASES.name: 0}  # where a topic ends comes with its records
        deadline = time.monotonic() + READ_S
        while not reader.read(0.5, 1):
            assert time.monotonic() < deadline
        assert reader.lag() == {SIGNALS.name: 19, RELEASES.name: 0}
        while reader.lag()[SIGNALS.name]:
            reader.read(0.5)
            assert time.monotonic() < deadline


def test_a_broker_that_goes_away_is_noticed() -> None:
    with ExitStack() as stack:
        bootstrap = stack.enter_context(embedded_broker())
        make_topics(bootstrap)

        async def test(board: Board, _: Hub, __: Remembers) -> None:
            await until(lambda: board.tick(now_ms()).kafka_since is None)
            ahead_ms = now_ms() + 8100  # in eight seconds it would be said, unless it answers until then
            await until(lambda: board.tick(ahead_ms).kafka_since is None)
            await asyncio.to_thread(stack.close)
            gone_ms = now_ms()
            await until(lambda: (board.tick(now_ms()).kafka_since or gone_ms) < gone_ms)

        reading(bootstrap, test)


def test_a_burst_of_alerts_leaves_no_viewer_behind(embedded: Broker) -> None:
    make_topics(embedded.bootstrap)

    async def test(board: Board, hub: Hub, _: Remembers) -> None:
        await until(lambda: board.tick(now_ms()).kafka_since is None)
        with hub.join() as viewer:
            burst = [told(f"source/{number}") for number in range(150)]
            await asyncio.to_thread(write, embedded.bootstrap, SECURITY_ALERTS, burst)
            seen = 0
            while seen < 150:
                said = await asyncio.wait_for(viewer.get(), READ_S)
                assert said is not None, "let go"
                seen += said.count(b'"rule":"replayed-events"')

    reading(embedded.bootstrap, test)
