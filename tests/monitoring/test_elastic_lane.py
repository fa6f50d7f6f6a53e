"""A lane ships what its topic holds and no other topic's, and tells what was deleted before it came."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from contracts.errors import UserError
from contracts.topics import MODEL_ALERTS, SECURITY_ALERTS, SHIP_REJECTS
from monitoring.elastic import shipper as shipper_module
from monitoring.elastic.audit import Judged
from monitoring.elastic.bulk import Bulk, Document
from monitoring.elastic.client import connect
from monitoring.elastic.lane import Lane, Route
from monitoring.elastic.setup import set_up
from monitoring.elastic.shipper import Shipper
from monitoring.elastic.streams import STREAMS, Names
from monitoring.meters import Meters
from tests.monitoring.test_elastic_bulk import ids, taken
from tests.monitoring.test_elastic_setup import Documented
from tests.support.broker import Broker
from tests.support.recording import RecordingServer, Request
from tests.support.waiting import wait_for

TOPIC = MODEL_ALERTS.name


def write(bootstrap: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(TOPIC, value, partition=0)
    assert producer.flush(30) == 0


class Elastic:
    """Takes every document; `ids` are theirs, in the order in which they came."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.setup = Documented()

    def __call__(self, request: Request) -> tuple[int, Any]:
        if not request.path.startswith("/_bulk"):
            return self.setup(request)
        self.ids += ids(request)
        return taken(request)


TOPICS = [stream.topic.name for stream in STREAMS if stream.topic]


@contextmanager
def shipping(embedded: Broker, elastic: Elastic, identity: str) -> Iterator[Lane]:
    """Run a lane of the topic, which has this identity, until the context ends."""

    def read(message: Message) -> Document:
        return Document("i-1970.01.01", f"{identity}:{message.offset()}", b"{}")

    stop = threading.Event()
    with RecordingServer(elastic) as server, connect(server.address, "", {}) as client:
        lane = Lane(
            Route("alerts", {TOPIC: identity}, lambda: read),
            "group",
            {"bootstrap.servers": embedded.bootstrap},
            Bulk(client, stop),
            SHIP_REJECTS.name,
            stop,
        )
        thread = threading.Thread(target=lane.run)
        thread.start()
        try:
            yield lane
        finally:
            stop.set()
            thread.join()


@contextmanager
def group(embedded: Broker) -> Iterator[Consumer]:
    """Yield a consumer of the lane's group, which does not join it."""
    consumer = Consumer({"bootstrap.servers": embedded.bootstrap, "group.id": "group"})
    try:
        yield consumer
    finally:
        consumer.close()


def commit(embedded: Broker, offset: int, identity: str) -> None:
    with group(embedded) as consumer:
        consumer.commit(offsets=[TopicPartition(TOPIC, 0, offset, identity)], asynchronous=False)


def test_a_lane_goes_on_at_the_last_commit_and_commits_of_which_topic_it_is(embedded: Broker) -> None:
    elastic = Elastic()
    write(embedded.bootstrap, b"1", b"2", b"3")
    commit(embedded, 2, "A")
    with shipping(embedded, elastic, "A"):
        wait_for(lambda: bool(elastic.ids), 30)
    with group(embedded) as consumer:
        (committed,) = consumer.committed([TopicPartition(TOPIC, 0)], 10)
    assert elastic.ids == ["A:2"]
    assert (committed.offset, committed.metadata) == (3, "A")


def test_a_topic_that_was_made_anew_is_shipped_from_its_first_record(embedded: Broker) -> None:
    elastic = Elastic()
    write(embedded.bootstrap, b"1", b"2", b"3")
    commit(embedded, 2, "A")
    with shipping(embedded, elastic, "B"):
        wait_for(lambda: "B:2" in elastic.ids, 30, lambda: f"{elastic.ids}")
    assert elastic.ids == ["B:0", "B:1", "B:2"]


def test_records_that_are_deleted_before_they_were_shipped_are_told(
    embedded: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    elastic = Elastic()
    write(embedded.bootstrap, *([b"x" * 500_000] * 15))  # the embedded broker keeps about 5 MB
    commit(embedded, 1, "A")
    with shipping(embedded, elastic, "A") as lane:
        wait_for(lambda: "A:14" in elastic.ids, 30, lambda: f"{elastic.ids}")
        assert lane.gone == 14 - len(elastic.ids) > 0
    assert f"topic={TOPIC} partition=0 records={lane.gone}" in caplog.text


@contextmanager
def shipper(embedded: Broker, elastic: Elastic, identities: Callable[[], Mapping[str, str]]) -> Iterator[Shipper]:
    """Yield a shipper of all topics to what was set up."""
    with RecordingServer(elastic) as server, connect(server.address, "", {}) as client:
        list(set_up(client, Names(), ilm=True, keep_days={}))
        yield Shipper(
            client,
            {"bootstrap.servers": embedded.bootstrap},
            prefix="",
            group="group",
            identities=identities,
            new_judge=lambda: lambda *_: Judged(None),
            meters=Meters(),
            beat=lambda: None,
        )


def test_a_shipper_ends_when_a_topic_was_made_anew(embedded: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper_module, "_ASK_S", 0.1)
    asked = []

    def identities() -> dict[str, str]:
        asked.append(1)
        if len(asked) == 2:
            raise UserError("the broker is away")
        return {**dict.fromkeys(TOPICS, "A"), **({SECURITY_ALERTS.name: "B"} if len(asked) > 3 else {})}

    with (
        shipper(embedded, Elastic(), identities) as ships,
        pytest.raises(UserError, match="topic security-alerts: expected the one of before, it was made anew"),
    ):
        ships.run()
    assert len(asked) == 4


def test_a_shipper_ends_when_the_fields_of_an_index_are_guessed(
    embedded: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper_module, "_ASK_S", 0.1)
    elastic = Elastic()

    def identities() -> dict[str, str]:
        if asked:  # so the shipper has begun
            guessed = {"properties": {"@timestamp": {"type": "date"}}}
            elastic.setup.kept["cardiosentry-predictions-2026.11.30"] = {"mappings": guessed}
        asked.append(1)
        return dict.fromkeys(TOPICS, "A")

    asked: list[int] = []
    with (
        shipper(embedded, elastic, identities) as ships,
        pytest.raises(UserError, match=r"expected of cardiosentry-predictions-2026\.11\.30 that a template of ours"),
    ):
        ships.run()
