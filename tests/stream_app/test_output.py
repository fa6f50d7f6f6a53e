"""One suite for every `Output`: the fake that other tests use, and both real ones on both brokers.

What one of them cannot do is marked as an expected failure, with the reason.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, Protocol, cast

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from contracts.errors import InvalidRecord, RetryableError
from contracts.reasons import Reason
from contracts.topics import EVENTS, PREDICTIONS, QUARANTINE
from stream_app.output import AtLeastOnceOutput, Member, Offsets, Output, TransactionalOutput
from stream_app.quarantine import MAX_COPY_BYTES, Quarantined
from tests.stream_app.support import SEALER, FakeOutput, Written, member
from tests.support.broker import Broker
from tests.support.embedded import embedded_broker
from tests.support.reading import read_topic

GROUP_S = 30.0


class Rig(Protocol):
    """An output and the eyes of others on what it does."""

    output: Output
    member: Member
    predictions: str
    quarantine: str

    def place(self, partition: int = 0) -> tuple[str, int]:
        """Return an input partition that the member holds."""
        ...

    def visible(self, topic: str, count: int = 0, /) -> list[Written]:
        """Return what a read_committed reader sees of a topic; waits for at least `count`."""
        ...

    def offset(self, place: tuple[str, int]) -> int | None:
        """Return the group's committed offset, None if it has none."""
        ...

    def join(self) -> None:
        """Make `member` one that the group has given its partitions to."""
        ...

    def take_partitions_away(self) -> None:
        """Let another member take over, so that `member` is one of an earlier generation."""
        ...

    def successor(self) -> Output:
        """Return the output of a worker that was started again in the same slot."""
        ...


class FakeRig:
    """The fake, read as it stands."""

    predictions, quarantine = PREDICTIONS.name, QUARANTINE.name

    def __init__(self) -> None:
        self.member = member()
        self.fake = FakeOutput(current=self.member)
        self.output: Output = self.fake

    def place(self, partition: int = 0) -> tuple[str, int]:
        return EVENTS.name, partition

    def visible(self, topic: str, _: int = 0) -> list[Written]:
        return [record for record in self.fake.committed if record.topic == topic]

    def offset(self, place: tuple[str, int]) -> int | None:
        return self.fake.offsets.get(place)

    def join(self) -> None:
        """It has joined already."""

    def take_partitions_away(self) -> None:
        self.fake.current = member()

    def successor(self) -> Output:
        self.fake.pending, self.fake.pending_offsets = [], {}  # the broker aborts what the dead one left open
        return self.fake


class BrokerRig:
    """A real output beside a real consumer group on a broker."""

    def __init__(self, broker: Broker, make: Callable[[str, str], Output], closing: ExitStack) -> None:
        prefix = broker.topics()
        self.bootstrap, self.events = broker.bootstrap, prefix + EVENTS.name
        self.predictions, self.quarantine = prefix + PREDICTIONS.name, prefix + QUARANTINE.name
        self.group = prefix + "group"
        self.closing = closing
        self._make, self._slot = make, prefix + "slot-0"
        self.output = self.successor()
        # The embedded broker makes a topic when a producer asks for it.
        Producer({"bootstrap.servers": broker.bootstrap}).list_topics(self.events, timeout=10)
        # It commits without having joined its group, which takes 3 s: only who asks for `join` waits for that.
        self.consumer = self._consumer()
        self.consumer.assign([TopicPartition(self.events, partition) for partition in range(4)])
        _until(self._group_is_there)
        self.member = Member(self.consumer.consumer_group_metadata(), self._commit_now)

    def _group_is_there(self) -> bool:
        """Ask for the group: a fresh broker makes its topic of offsets only then, which no test here is about."""
        try:
            return self.offset(self.place()) is None
        except KafkaException:
            return False

    def join(self) -> None:
        self.consumer.unassign()
        self.consumer.subscribe([self.events])
        _poll_until(lambda: len(self.consumer.assignment()) == 4, self.consumer)
        self.member = Member(self.consumer.consumer_group_metadata(), self._commit_now)

    def _commit_now(self, positions: list[TopicPartition]) -> None:
        """Does at once, in this test's only thread, what the poller does between two polls."""
        self.consumer.commit(offsets=positions, asynchronous=False)

    def _consumer(self) -> Consumer:
        properties = {
            "bootstrap.servers": self.bootstrap,
            "group.id": self.group,
            "enable.auto.commit": "false",
            "partition.assignment.strategy": "range",
            "heartbeat.interval.ms": "200",
            "session.timeout.ms": "6000",
        }
        consumer = Consumer(properties)
        self.closing.callback(consumer.close)
        return consumer

    def place(self, partition: int = 0) -> tuple[str, int]:
        return self.events, partition

    def visible(self, topic: str, count: int = 0) -> list[Written]:
        return [
            Written(topic, record.key, record.value, record.headers)
            for record in read_topic(self.bootstrap, topic, count, timeout_s=20 if count else 5)
        ]

    def offset(self, place: tuple[str, int]) -> int | None:
        (found,) = self.consumer.committed([TopicPartition(*place)], timeout=30)
        return found.offset if found.offset >= 0 else None

    def take_partitions_away(self) -> None:
        other = self._consumer()
        other.subscribe([self.events])
        _poll_until(lambda: len(other.assignment()) == 2, self.consumer, other)

    def successor(self) -> Output:
        made = self._make(self.bootstrap, self._slot)
        self.closing.callback(_close, made)
        return made


def _close(output: Output) -> None:
    with suppress(KafkaException):  # it may be closed already, or fenced
        output.close()


def _poll_until(condition: Callable[[], bool], *consumers: Consumer) -> None:
    def polled() -> bool:
        for consumer in consumers:
            consumer.poll(0.05)
        return condition()

    _until(polled)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GROUP_S
    while not condition():
        assert time.monotonic() < deadline, f"expected the group's answer within {GROUP_S:g} s"
        time.sleep(0.01)


def transactional(bootstrap: str, slot: str) -> Output:
    return TransactionalOutput({"bootstrap.servers": bootstrap}, slot)


def at_least_once(bootstrap: str, _: str) -> Output:
    return AtLeastOnceOutput({"bootstrap.servers": bootstrap})


MAKERS = {"transactional": transactional, "at least once": at_least_once}
ALL = ["fake", "transactional real", "transactional embedded", "at least once real", "at least once embedded"]

KEEPS = "at least once: what was written stays written"
SHOWS = "librdkafka's mock cluster shows open and aborted records to everybody"
FORGETS = "librdkafka's mock cluster takes the offsets of a transaction and keeps none of them"
SPEAKS_AS_OF_NOW = (
    "at least once: a consumer commits as the member that it is now, not as the one that did the work; the processor "
    "forgets old work before that can happen"
)

KEEPING = {"at least once real": KEEPS, "at least once embedded": KEEPS}
SHOWING = {"transactional embedded": SHOWS}
FORGETTING = {"transactional embedded": FORGETS}


def over(*names: str, cannot: dict[str, str] | None = None) -> pytest.MarkDecorator:
    """Run a test over these outputs (all by default); those in `cannot` are expected to fail it, for their reason."""
    cannot = cannot or {}
    parameters = [
        pytest.param(name, marks=[pytest.mark.xfail(strict=True, reason=cannot[name])] if name in cannot else [])
        for name in names or ALL
    ]
    return pytest.mark.parametrize("rig", parameters, indirect=True)


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "fake":
        yield FakeRig()
        return
    kind, _, where = request.param.rpartition(" ")
    with ExitStack() as closing:  # the last that was opened is closed first: the embedded broker at the end
        if where == "real":
            broker: Broker = request.getfixturevalue("kafka")
        else:
            broker = Broker(closing.enter_context(embedded_broker()), real=False)
        yield BrokerRig(broker, MAKERS[kind], closing)


def commit(output: Output, offsets: Offsets, by: Member) -> None:
    output.send_offsets(offsets, by)
    output.commit()


def records(*values: bytes) -> list[tuple[bytes | None, bytes]]:
    return [(b"pp1_a", value) for value in values]


@over()
def test_what_is_committed_is_seen_whole_and_in_order(rig: Rig) -> None:
    numbers = [b"%d" % number for number in range(500)]
    rig.output.write(rig.predictions, records(*numbers[:250]))
    rig.output.write_quarantined(
        rig.quarantine, [Quarantined(b"sealed", [("cs-reason", b"schema"), ("cs-size", b"3")]), Quarantined(b"x", [])]
    )
    rig.output.write(rig.predictions, records(*numbers[250:]))
    rig.output.write(rig.predictions, [])
    commit(rig.output, {rig.place(): 500}, rig.member)

    assert rig.visible(rig.predictions, 500) == [Written(rig.predictions, b"pp1_a", number) for number in numbers]
    # Without a key each goes to any partition.
    assert sorted(rig.visible(rig.quarantine, 2), key=lambda written: written.value or b"") == [
        Written(rig.quarantine, None, b"sealed", (("cs-reason", b"schema"), ("cs-size", b"3"))),
        Written(rig.quarantine, None, b"x"),
    ]


@over(cannot=FORGETTING)
def test_offsets_are_committed_for_each_partition_with_or_without_records(rig: Rig) -> None:
    """A batch of outcomes writes nothing, and must still not be read again."""
    commit(rig.output, {rig.place(0): 250, rig.place(1): 17}, rig.member)
    assert (rig.offset(rig.place(0)), rig.offset(rig.place(1)), rig.offset(rig.place(2))) == (250, 17, None)


@over(cannot=FORGETTING)
def test_offsets_may_come_before_between_or_after_the_records(rig: Rig) -> None:
    rig.output.send_offsets({rig.place(): 1}, rig.member)
    rig.output.write(rig.predictions, records(b"1"))
    rig.output.send_offsets({rig.place(): 2}, rig.member)
    rig.output.write(rig.predictions, records(b"2"))
    rig.output.commit()
    assert rig.offset(rig.place()) == 2
    assert [r.value for r in rig.visible(rig.predictions, 2)] == [b"1", b"2"]


@over(cannot=FORGETTING)
def test_commits_follow_one_another_and_each_moves_the_offsets(rig: Rig) -> None:
    for number in range(1, 6):
        rig.output.write(rig.predictions, records(b"%d" % number))
        commit(rig.output, {rig.place(): number}, rig.member)
        assert rig.offset(rig.place()) == number
    assert [r.value for r in rig.visible(rig.predictions, 5)] == [b"1", b"2", b"3", b"4", b"5"]


@over(cannot=KEEPING | SHOWING)
def test_what_is_not_committed_is_not_seen(rig: Rig) -> None:
    rig.output.write(rig.predictions, records(b"1"))
    commit(rig.output, {rig.place(): 1}, rig.member)
    rig.output.write(rig.predictions, records(*[b"open"] * 1000))
    rig.output.write_quarantined(rig.predictions, [Quarantined(b"open", [])])
    settle(rig)

    assert [r.value for r in rig.visible(rig.predictions, 1)] == [b"1"]
    assert rig.offset(rig.place()) == 1


@over(cannot=KEEPING | SHOWING)
def test_what_was_aborted_is_never_seen(rig: Rig) -> None:
    rig.output.write(rig.predictions, records(b"aborted"))
    rig.output.write_quarantined(rig.predictions, [Quarantined(b"aborted", [])])
    settle(rig)
    rig.output.abort()
    rig.output.write(rig.predictions, records(b"1"))
    commit(rig.output, {rig.place(): 1}, rig.member)

    assert [r.value for r in rig.visible(rig.predictions, 1)] == [b"1"]


@over(cannot=FORGETTING)
def test_after_an_abort_the_work_is_done_again_from_the_same_offsets(rig: Rig) -> None:
    rig.output.write(rig.predictions, records(b"1"))
    commit(rig.output, {rig.place(): 1}, rig.member)
    for _ in range(3):
        rig.output.write(rig.predictions, records(b"2"))
        rig.output.abort()
        assert rig.offset(rig.place()) == 1
    rig.output.write(rig.predictions, records(b"2"))
    commit(rig.output, {rig.place(): 2}, rig.member)

    assert rig.offset(rig.place()) == 2
    seen = [r.value for r in rig.visible(rig.predictions, 2)]
    assert seen[0] == b"1"
    assert seen[-1] == b"2"
    assert set(seen) == {b"1", b"2"}


@over()
def test_an_abort_of_nothing_changes_nothing(rig: Rig) -> None:
    rig.output.abort()
    rig.output.abort()
    rig.output.write(rig.predictions, records(b"1"))
    commit(rig.output, {rig.place(): 1}, rig.member)
    assert [r.value for r in rig.visible(rig.predictions, 1)] == [b"1"]


@over(cannot=KEEPING | SHOWING)
def test_closing_drops_what_is_not_committed(rig: Rig) -> None:
    rig.output.write(rig.predictions, records(b"1"))
    commit(rig.output, {rig.place(): 1}, rig.member)
    rig.output.write(rig.predictions, records(b"open"))
    settle(rig)
    rig.output.close()
    assert [r.value for r in rig.visible(rig.predictions, 1)] == [b"1"]
    assert rig.offset(rig.place()) == 1


@over("fake", "transactional real", "at least once real", cannot={"at least once real": SPEAKS_AS_OF_NOW})
def test_a_member_that_lost_its_partitions_moves_no_offset_and_may_go_on_after_abort(rig: Rig) -> None:
    rig.join()
    rig.output.write(rig.predictions, records(b"1"))
    commit(rig.output, {rig.place(): 1}, rig.member)
    rig.take_partitions_away()
    rig.output.write(rig.predictions, records(b"zombie"))
    with pytest.raises(RetryableError):
        commit(rig.output, {rig.place(): 2}, rig.member)
    assert rig.offset(rig.place()) == 1

    rig.output.abort()
    assert rig.offset(rig.place()) == 1


@over("fake", "transactional real")
def test_a_member_that_lost_its_partitions_shows_nothing_of_its_work(rig: Rig) -> None:
    rig.join()
    rig.take_partitions_away()
    rig.output.write(rig.predictions, records(b"zombie"))
    with pytest.raises(RetryableError):
        commit(rig.output, {rig.place(): 2}, rig.member)
    rig.output.abort()
    assert rig.visible(rig.predictions) == []


@over("fake", "transactional real")
def test_a_restarted_worker_ends_its_predecessors_open_work_at_once(rig: Rig) -> None:
    rig.output.write(rig.predictions, records(b"left open"))
    settle(rig)
    successor = rig.successor()
    successor.write(rig.predictions, records(b"1"))
    commit(successor, {rig.place(): 1}, rig.member)
    assert [r.value for r in rig.visible(rig.predictions, 1)] == [b"1"]


@over("transactional real")
def test_a_predecessor_that_lives_on_can_commit_nothing(rig: Rig) -> None:
    """Two workers of one slot, as after a network split: the older is fenced, whatever it tries."""
    rig.output.write(rig.predictions, records(b"zombie"))
    settle(rig)
    successor = rig.successor()
    with pytest.raises((KafkaException, RetryableError)):
        commit(rig.output, {rig.place(): 7}, rig.member)
    assert rig.offset(rig.place()) is None
    successor.write(rig.predictions, records(b"1"))
    commit(successor, {rig.place(): 1}, rig.member)
    assert [r.value for r in rig.visible(rig.predictions, 1)] == [b"1"]


@over()
def test_the_largest_quarantined_record_passes(rig: Rig) -> None:
    raw = uuid.uuid4().bytes * (1024 * 1024 // 16)
    (sealed,) = SEALER.seal([(InvalidRecord(Reason.SCHEMA, "x" * 200), "t" * 200 + f"/0/{2**62}", raw)])
    assert len(sealed.value) >= MAX_COPY_BYTES
    rig.output.write_quarantined(rig.quarantine, [sealed] * 3)
    commit(rig.output, {rig.place(): 1}, rig.member)
    assert [len(r.value or b"") for r in rig.visible(rig.quarantine, 3)] == [len(sealed.value)] * 3


def settle(rig: Rig) -> None:
    """Let what was written reach the broker, so that not seeing it proves something."""
    producer = getattr(rig.output, "_producer", None)
    if producer is not None:
        assert cast("Any", producer).flush(20) == 0
