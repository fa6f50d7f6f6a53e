"""Reads the topics once for all viewers: alerts as they come, the rest as much as the page can use.

A topic that cannot be read whole is not: of predictions and quarantine `_MOST` records a second are read, and where
there are more the reader goes on at the end. Nothing is committed, no group joined.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Literal, Protocol

from confluent_kafka import Message

from contracts.topics import MODEL_ALERTS, PREDICTIONS, QUARANTINE, RELEASES, SECURITY_ALERTS, SIGNALS
from monitoring.console.alerts import ShownAlert
from monitoring.console.board import Board, Models
from monitoring.console.drift import Reference
from monitoring.console.hub import Hub
from monitoring.reader import TopicReader, headers

_WAIT_S = 0.5
_MOST, _EVERY_S = 1000, 1.0  # each second is as often as the page is told; to go on at the end fetches anew
_GATHER_S = 0.5  # workers write signals with every batch, many a second at low rates; the page shows them each second
_PING_S = 2.0
_MODELS_S = 30.0
_ALERTS_BACK, _SIGNALS_BACK, _QUARANTINE_BACK = 1000, 4000, 500  # offsets of each partition

# What is fetched ahead is memory: the defaults allow 64 MB a consumer.
_SMALL = {"queued.max.messages.kbytes": "4096", "fetch.message.max.bytes": "262144"}


class Catalogue(Protocol):
    """Knows what records of model-releases come to."""

    def read(self, values: Sequence[bytes]) -> tuple[Models, Reference | None]:
        """Take the next records; return what is live now. May take seconds: it asks the store."""


class Feeds:
    """Fills `board` from the topics and tells `hub` what cannot wait for the next tick."""

    def __init__(
        self, properties: Mapping[str, object], prefix: str, board: Board, hub: Hub, catalogue: Catalogue
    ) -> None:
        self._properties, self._prefix = {**_SMALL, **properties}, prefix
        self._board, self._hub, self._catalogue = board, hub, catalogue
        whole = (SECURITY_ALERTS, MODEL_ALERTS, RELEASES, SIGNALS)
        self.lag = {prefix + topic.name: 0 for topic in whole}
        """Records that are not read yet, by topic."""

    async def run(self) -> None:
        """Read until cancelled; raises `UserError` where a topic is missing or may not be read."""
        with ExitStack() as open_readers:

            def reader(*topics: str, beginning: bool = False, last: int = 0) -> TopicReader:
                names = [self._prefix + topic for topic in topics]
                return open_readers.enter_context(TopicReader(self._properties, names, beginning=beginning, last=last))

            readers = (
                reader(SECURITY_ALERTS.name, MODEL_ALERTS.name, last=_ALERTS_BACK),
                reader(RELEASES.name, beginning=True),
                reader(SIGNALS.name, last=_SIGNALS_BACK),
                reader(PREDICTIONS.name),
                reader(QUARANTINE.name, last=_QUARANTINE_BACK),
            )
            self._board.kafka_answered(_now_ms())
            alerts, releases, signals, predictions, quarantine = readers
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._alerts(alerts))
                tasks.create_task(self._models(releases))
                tasks.create_task(self._signals(signals))
                tasks.create_task(self._sample(predictions, self._predictions))
                tasks.create_task(self._sample(quarantine, self._quarantined))

    def _read(self, reader: TopicReader, at_most: int) -> list[Message]:
        """Read what is there, and note what is left."""
        messages = reader.read(_WAIT_S, at_most)
        self.lag.update(reader.lag())
        return messages

    async def _alerts(self, reader: TopicReader) -> None:
        asked = 0.0
        while True:
            messages = await asyncio.to_thread(self._read, reader, 500)
            # Together: a burst of alerts is one thing to say, and leaves no viewer behind.
            if new := [shown for shown in map(self._alert, messages) if shown]:
                self._hub.say("new", new)
            if messages:
                self._board.kafka_answered(_now_ms())
            elif time.monotonic() - asked > _PING_S:
                asked = time.monotonic()
                if await asyncio.to_thread(reader.answers, _PING_S):
                    self._board.kafka_answered(_now_ms())

    def _alert(self, message: Message) -> ShownAlert | None:
        topic = (message.topic() or "").removeprefix(self._prefix)
        dataset: Literal["security", "model"] = "model" if topic == MODEL_ALERTS.name else "security"
        return self._board.alerts.take(
            f"{topic}/{message.partition()}/{message.offset()}",
            message.value() or b"",
            dataset=dataset,
            at_ms=message.timestamp()[1],
            now_ms=_now_ms(),
        )

    async def _models(self, reader: TopicReader) -> None:
        asked = -_MODELS_S
        while True:
            values = [message.value() or b"" for message in await asyncio.to_thread(self._read, reader, 5000)]
            if not values and time.monotonic() - asked < _MODELS_S:
                continue
            asked = time.monotonic()
            models, reference = await asyncio.to_thread(self._catalogue.read, values)
            self._board.reference = reference
            if models != self._board.models:
                self._board.models = models
                self._hub.say("models", models)

    async def _signals(self, reader: TopicReader) -> None:
        while True:
            messages = await asyncio.to_thread(self._read, reader, 5000)
            self._board.take_signals((message.value() or b"" for message in messages), _now_ms())
            await asyncio.sleep(_GATHER_S)

    async def _sample(self, reader: TopicReader, take: Callable[[Sequence[Message], bool], None]) -> None:
        while True:
            began = time.monotonic()
            messages = await asyncio.to_thread(reader.read, _WAIT_S, _MOST)
            whole = len(messages) < _MOST
            take(messages, whole)
            await asyncio.sleep(max(0.0, began + _EVERY_S - time.monotonic()))
            if not whole:
                await asyncio.to_thread(reader.skip_to_end)

    def _predictions(self, messages: Sequence[Message], whole: bool) -> None:
        self._board.take_predictions((message.value() or b"" for message in messages), _now_ms(), whole=whole)

    def _quarantined(self, messages: Sequence[Message], whole: bool) -> None:
        reasons = (
            (message.timestamp()[1], headers(message).get("cs-reason", b"").decode("utf-8", "replace"))
            for message in messages
        )
        self._board.take_quarantined(reasons, _now_ms(), whole=whole)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
