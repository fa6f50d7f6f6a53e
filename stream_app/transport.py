"""The Faust transport: one Faust message is one poll, so that Faust's cost is per poll, not per record.

Faust's own confluent driver cannot be used (it never polls before the first assignment, and drops every message for
want of a generation id). This one keeps Kafka in `Poller` and tells Faust what it needs: polls and rebalances.
Offsets are the output's business, so nothing of Faust's acknowledging and committing takes part.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import confluent_kafka
from faust.transport import base
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.producer import Producer as FaustProducer
from faust.types import TP, ConsumerMessage, ServiceT

from stream_app.batch import Poll
from stream_app.inbox import Inbox
from stream_app.poller import Partitions, Poller

if TYPE_CHECKING:
    from stream_app.app import CardioSentryApp


_WAIT_S = 1.0


class Consumer(FaustConsumer):
    """Hands what was polled to Faust's streams and the poller's rebalances to the app."""

    app: "CardioSentryApp"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._inbox = Inbox()
        self._poller: Poller | None = None
        self._rebalances = asyncio.Lock()  # Faust must see them in order: a late revoke would stop the flow for good

    async def subscribe(self, topics: Iterable[str]) -> None:
        if self._poller is None:
            self._poller = Poller(
                self.app.consumer_properties,
                sorted(topics),
                self.app.processor,
                self._inbox,
                self._assigned,
                self._revoked,
                self.app.die,
            )
            self._poller.start()

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Faust's own makes six tasks a message, to drop one when the flow stops; here the epoch does."""
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # mode takes any event
            poll = await self._inbox.get(_WAIT_S)
            if poll is not None and not self.should_stop:
                await self.callback(self._message(poll))

    def _message(self, poll: Poll) -> ConsumerMessage:
        """Return the poll as a message of its first partition: Faust chooses the agent by that."""
        topic = poll.batches[0].topic
        span = poll.batches[0].spans[0]
        return ConsumerMessage(
            topic,
            span.partition,
            span.offsets[0],
            0.0,
            0,
            None,
            None,
            cast("bytes", poll),  # a raw value: Faust hands on what it gets
            None,
            0,
            0,
            TP(topic, span.partition),
            generation_id=self.app.consumer_generation_id,
        )

    async def on_stop(self) -> None:
        await super().on_stop()
        if self._poller is not None:
            await asyncio.to_thread(self._poller.stop)
            self._poller = None
            await asyncio.to_thread(self.app.processor.close)

    def assignment(self) -> set[TP]:
        return {TP(*partition) for partition in self._poller.assigned} if self._poller else set()

    def silent_s(self) -> float:
        """Return how long ago the poller polled, seconds; 0 before it began."""
        return time.monotonic() - self._poller.polled_at if self._poller else 0.0

    def lag(self) -> Mapping[str, int]:
        """Return how many records of each topic lay between position and end of the partitions a few seconds ago."""
        return self._poller.lag if self._poller else {}

    # The poller's thread calls these two

    def _assigned(self, partitions: Partitions) -> None:
        self.app.consumer_generation_id += 1
        generation = self.app.consumer_generation_id
        assigned = {TP(*partition) for partition in partitions}
        self._notify(lambda: self.on_partitions_assigned(assigned, generation))

    def _revoked(self, partitions: Partitions) -> None:
        self.app.consumer_generation_id += 1
        revoked = {TP(*partition) for partition in partitions}
        self._notify(lambda: self.on_partitions_revoked(revoked))

    def _notify(self, callback: Callable[[], Awaitable[None]]) -> None:
        async def in_order() -> None:
            async with self._rebalances:
                self.app.on_rebalance_start()
                await callback()

        if not self.should_stop:
            asyncio.run_coroutine_threadsafe(in_order(), self.loop)

    # What Faust would do with offsets, and does not here

    async def seek_to_committed(self) -> Mapping[TP, int]:
        return {}

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def topic_partitions(self, _: str) -> int | None:
        return None

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's livelock check looks at its own commits; `Processor` has a check of its own."""

    def _unused(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("offsets and positions are the processor's and the poller's, not Faust's")

    _commit = _seek = getmany = _getmany = _to_message = create_topic = position = key_partition = _unused
    earliest_offsets = highwater = highwaters = seek_wait = _unused


class Producer(FaustProducer):
    """Faust's side of sending, which this app does not use: a record sent here would be outside of the transaction."""

    def _unused(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("records go out through the transactional output, not through Faust's producer")

    send = send_and_wait = create_topic = key_partition = _unused

    async def flush(self) -> None:
        """Nothing waits here."""


class Transport(base.Transport):
    """Kafka by confluent-kafka, a poll at a time."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer
    default_port = 9092
    driver_version = f"confluent_kafka={confluent_kafka.__version__}"
