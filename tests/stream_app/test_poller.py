"""The poller, over a consumer that does what librdkafka does with pauses: it keeps them over assignments."""

from collections.abc import Callable

import pytest
from confluent_kafka import Message, TopicPartition

import stream_app.poller as poller_module
from contracts.topics import EVENTS
from stream_app.inbox import Inbox
from stream_app.poller import Poller
from stream_app.processor import Processor
from stream_app.telemetry import Telemetry
from tests.stream_app.support import FakeOutput


class FakeConsumer:
    """Assignment and pauses; `on_poll` happens inside the next poll."""

    def __init__(self, _: object) -> None:
        self.assigned: list[TopicPartition] = []
        self.paused: set[int] = set()
        self.on_poll: Callable[[], None] = lambda: None

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = partitions

    def unassign(self) -> None:
        self.assigned = []

    def assignment(self) -> list[TopicPartition]:
        return self.assigned

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {partition.partition for partition in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {partition.partition for partition in partitions}

    def consumer_group_metadata(self) -> object:
        return object()

    def poll(self, _: float) -> Message | None:
        happening, self.on_poll = self.on_poll, lambda: None
        happening()
        return None


def nothing(*_: object) -> None:
    """Somebody else's business."""


@pytest.mark.parametrize("then", ["room", "rebalance"])
def test_partitions_that_are_lost_while_paused_flow_when_they_come_back(
    then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the broker is away for longer than the session: the pipeline waits, the partitions are lost."""
    monkeypatch.setattr(poller_module, "Consumer", FakeConsumer)
    processor = Processor({}, FakeOutput(), Telemetry(), prefix="", commit_interval_s=0.5, clock_ms=lambda: 0)
    poller = Poller({}, [EVENTS.name], processor, Inbox(), nothing, nothing, nothing)
    consumer = poller.consumer
    assert isinstance(consumer, FakeConsumer)
    partitions = [TopicPartition(EVENTS.name, partition) for partition in range(2)]
    poller._assign(consumer, partitions)
    processor.in_flight.add(caught_up=True)

    def lose() -> None:
        assert consumer.paused == {0, 1}
        poller._lose(consumer, partitions)
        if then == "room":
            processor.in_flight.finished(poller._epoch)
        else:
            poller._assign(consumer, partitions[1:])

    consumer.on_poll = lose
    poller._stay_alive()
    poller._assign(consumer, partitions)
    assert consumer.paused == set()
