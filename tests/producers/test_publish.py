"""The publisher, against librdkafka's mock cluster in this process."""

import gc
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from contracts.errors import UserError
from contracts.mac import KEY_ID_HEADER, MAC_HEADER, Keyring, SourceKey, compute_mac
from contracts.topics import EVENTS, OUTCOMES
from producers.malformed import spoil
from producers.malformed_cases import CASES
from producers.pacing import Pace
from producers.publish import Publisher
from producers.replay import replay
from producers.report import PublishFailed, TopicCount
from producers.run import run
from producers.sign import Signer
from producers.sources import SourceRecord
from tests.producers.support import AT_MS, KEYRING, PSEUDONYM_KEY, SECRET, synthetic

_numbers = count()


class MockCluster:
    """A broker that lives as long as its producer."""

    def __init__(self) -> None:
        self._producer: Producer | None = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1})
        broker = next(iter(self._producer.list_topics(timeout=5).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"

    def stop(self) -> None:
        self._producer = None
        gc.collect()


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    cluster = MockCluster()
    yield cluster.address
    cluster.stop()


@pytest.fixture
def prefix() -> str:
    return f"t{next(_numbers)}-"


Read = list[tuple[bytes | None, bytes | None, dict[str, bytes | str | None]]]


def read(address: str, topic: str, expected: int) -> Read:
    """Return what is in the four partitions of a topic of the mock cluster: key, value, headers."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
    found: Read = []
    until = time.monotonic() + 10
    while len(found) < expected and time.monotonic() < until:
        for message in consumer.consume(1000, 0.2):
            assert message.error() is None
            found.append((message.key(), message.value(), dict(message.headers() or [])))
    consumer.close()
    return found


def test_a_replay_arrives_whole_signed_and_counted(broker: str, prefix: str) -> None:
    source = replay(pseudonym_key=PSEUDONYM_KEY, outcome_delay_s=0.01, seed=1)
    with Publisher(broker, topic_prefix=prefix, keyring=KEYRING) as publisher:
        done = run(source, publisher, Pace(None))
    assert done.sent == 1840
    assert publisher.report.topics == {
        prefix + EVENTS.name: TopicCount(920, 920, 0),
        prefix + OUTCOMES.name: TopicCount(920, 920, 0),
    }
    assert (publisher.report.sent, publisher.report.delivered, publisher.report.failed) == (1840, 1840, 0)
    for topic in publisher.report.topics:
        found = read(broker, topic, 920)
        assert len(found) == 920
        for key, value, headers in found:
            assert headers == {KEY_ID_HEADER: b"k1", MAC_HEADER: compute_mac(SECRET, key or b"", value or b"")}
            assert msgspec.json.decode(value or b"")["patient_id"].encode() == key


def test_without_a_keyring_records_carry_no_headers(broker: str, prefix: str) -> None:
    with Publisher(broker, topic_prefix=prefix) as publisher:
        publisher.send(synthetic().take(10, AT_MS))
    assert [headers for _, _, headers in read(broker, prefix + EVENTS.name, 10)] == [{}] * 10


def test_malformed_records_arrive_as_they_are(broker: str, prefix: str) -> None:
    good = synthetic().take(1, AT_MS)[0]
    signed = msgspec.structs.replace(good, headers=Signer(KEYRING).headers(good.source, good.key, good.value))
    bad = [spoil(case, random.Random(1), signed) for case in CASES]
    with Publisher(broker, topic_prefix=prefix, keyring=KEYRING) as publisher:
        publisher.send(bad)
    found = read(broker, prefix + EVENTS.name, len(bad))
    assert sorted(map(repr, ((r.key, r.value or b"") for r in bad))) == sorted(
        repr((key, value or b"")) for key, value, _ in found
    )


def test_the_hook_accounts_for_each_record_with_its_place(broker: str, prefix: str) -> None:
    places: dict[tuple[str, int, int], SourceRecord] = {}
    records = synthetic().take(500, AT_MS)

    def note(topic: str, partition: int, offset: int, record: SourceRecord) -> None:
        places[topic, partition, offset] = record

    with Publisher(broker, topic_prefix=prefix, keyring=KEYRING, on_delivered=note) as publisher:
        publisher.send(records)
    assert len(places) == 500
    assert {record.event_id for record in places.values()} == {record.event_id for record in records}
    assert {topic for topic, _, _ in places} == {prefix + EVENTS.name}


def test_an_error_in_the_hook_is_not_swallowed(broker: str, prefix: str) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        Publisher(broker, topic_prefix=prefix, on_delivered=fail) as publisher,
    ):
        publisher.send(synthetic().take(1, AT_MS))


def test_a_full_queue_slows_the_sender_and_loses_nothing(broker: str, prefix: str) -> None:
    with Publisher(broker, topic_prefix=prefix, properties={"queue.buffering.max.messages": "10"}) as publisher:
        publisher.send(synthetic().take(300, AT_MS))
    assert publisher.report.delivered == 300
    assert len(read(broker, prefix + EVENTS.name, 300)) == 300


def test_records_of_a_patient_keep_their_order(broker: str, prefix: str) -> None:
    records = synthetic(patients=5).take(400, AT_MS)
    with Publisher(broker, topic_prefix=prefix) as publisher:
        publisher.send(records)
    found = read(broker, prefix + EVENTS.name, 400)
    for patient in {record.key for record in records}:
        assert [value for key, value, _ in found if key == patient] == [r.value for r in records if r.key == patient]


def test_rotation_signs_with_the_last_key_of_the_ring(broker: str, prefix: str) -> None:
    ring = Keyring({"k1": SourceKey("k1", SECRET, ("synthetic",)), "k2": SourceKey("k2", SECRET, ("synthetic",))})
    with Publisher(broker, topic_prefix=prefix, keyring=ring) as publisher:
        publisher.send(synthetic().take(1, AT_MS))
    assert read(broker, prefix + EVENTS.name, 1)[0][2][KEY_ID_HEADER] == b"k2"


def test_a_source_without_a_key_is_refused_before_anything_of_it_is_sent(broker: str, prefix: str) -> None:
    ring = Keyring({"k1": SourceKey("k1", SECRET, ("uci",))})
    with (
        pytest.raises(UserError, match="expected a key bound to source 'synthetic/"),
        Publisher(broker, topic_prefix=prefix, keyring=ring) as publisher,
    ):
        publisher.send(synthetic().take(1, AT_MS))
    assert publisher.report.sent == 0


def test_a_record_too_large_for_the_topic_is_a_failure_that_is_told(broker: str, prefix: str) -> None:
    good = synthetic().take(2, AT_MS)
    large = msgspec.structs.replace(good[1], value=b"x" * 3_000_000)
    with pytest.raises(PublishFailed, match=r"1 failures among 2: topic .*too large") as caught:
        Publisher(broker, topic_prefix=prefix).send([good[0], large])
    assert caught.value.report.failed == 1


def test_after_a_failure_close_still_waits_for_the_others_and_raises(broker: str, prefix: str) -> None:
    good = synthetic().take(2, AT_MS)
    publisher = Publisher(broker, topic_prefix=prefix)
    with pytest.raises(PublishFailed):
        publisher.send([good[0], msgspec.structs.replace(good[1], value=b"x" * 3_000_000)])
    for _ in range(2):
        with pytest.raises(PublishFailed, match="1 failures among 2"):
            publisher.close()
    assert publisher.report.topics[prefix + EVENTS.name] == TopicCount(2, 1, 1)


def test_sending_after_close_is_refused(broker: str, prefix: str) -> None:
    publisher = Publisher(broker, topic_prefix=prefix)
    publisher.close()
    with pytest.raises(ValueError, match="after it"):
        publisher.send([])


def test_no_broker_is_one_sentence_within_the_time_given() -> None:
    start = time.monotonic()
    with pytest.raises(UserError, match=r"expected a Kafka broker at 127.0.0.1:1, got none within 0.5 s \(.*refused"):
        Publisher("127.0.0.1:1", connect_timeout_s=0.5)
    assert time.monotonic() - start < 3


def test_no_broker_prints_nothing_of_librdkafkas() -> None:
    code = """
from contracts.errors import UserError
from producers.publish import Publisher
try:
    Publisher("127.0.0.1:1", connect_timeout_s=0.3)
except UserError:
    pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("limit", [5, 10_000], ids=["a few waiting", "a full queue"])
def test_a_cluster_that_goes_away_is_a_failure_within_the_delivery_timeout(limit: int) -> None:
    cluster = MockCluster()
    publisher = Publisher(cluster.address, delivery_timeout_s=0.5, properties={"queue.buffering.max.messages": "100"})
    cluster.stop()
    start = time.monotonic()
    with (
        pytest.raises(PublishFailed, match=r"expected every record to be delivered, got \d+ failures") as caught,
        publisher,
    ):
        run(synthetic(), publisher, Pace(None), limit=limit)
    assert time.monotonic() - start < 5
    report = caught.value.report
    assert report.sent == report.failed > 0
    assert report.delivered == 0


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"no.such.property": "1"}, "no.such.property"),
        ({"compression.type": "zip"}, "compression.codec"),
        ({"acks": "1"}, "acks"),
    ],
)
def test_a_property_that_librdkafka_refuses_is_named(broker: str, properties: dict[str, str], expected: str) -> None:
    with pytest.raises(UserError, match=f"Kafka properties: .*{expected}"):
        Publisher(broker, properties=properties)
