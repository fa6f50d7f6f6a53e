"""The processor: nothing is committed that was not written, nothing written is committed twice, and failures rewind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

import stream_app.processor as processor_module
from contracts.topics import EVENTS, OUTCOMES, PREDICTIONS, QUARANTINE
from stream_app.batch import UNKNOWN_START, Batch, Poll, Span
from stream_app.output import Member, Offsets, Record
from stream_app.pipeline import Result
from stream_app.processor import Processor
from stream_app.quarantine import Quarantined
from stream_app.telemetry import Telemetry
from tests.stream_app.support import FakeOutput, Wire, batch_of, member

INTERVAL_S = 0.5
PREFIX = "site-a."


class Clock:
    """Stands in the place of the processor's `time`: seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


def echo(batch: Batch, now_ms: int) -> Result:
    """A pipeline: values go out as predictions, those that begin with "bad" to quarantine, "bug" is a defect."""
    values = [value or b"" for value in batch.values]
    if b"bug" in values:
        raise ZeroDivisionError("a defect")
    good = [value for value in values if not value.startswith(b"bad")]
    bad = [value for value in values if value.startswith(b"bad")]
    result = Result()
    result.outputs[PREDICTIONS.name] = [(b"k", value) for value in good]
    result.quarantined = [Quarantined(value, [("cs-reason", b"schema")]) for value in bad]
    return result


@dataclass
class Bench:
    """A processor over a fake output, with what the poller would do: fetch polls that chain up."""

    clock: Clock
    output: FakeOutput = field(default_factory=FakeOutput)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.processor = Processor(
            {EVENTS.name: echo, OUTCOMES.name: echo},
            self.output,
            Telemetry(),
            prefix=PREFIX,
            commit_interval_s=INTERVAL_S,
            clock_ms=lambda: 0,
        )
        self.epoch = 0
        self.assign()

    def assign(self, by: Member | None = None) -> None:
        self.positions.clear()
        self.epoch = self.processor.partitions_assigned(1, by or member())
        self.processor.in_flight.begin(self.epoch)

    def fetch(self, *values: bytes, partition: int = 0, topic: str = EVENTS.name, caught_up: bool = False) -> Poll:
        """Return a poll of the next records of a partition, noted as on its way; offsets go on from the last."""
        place = (topic, partition)
        first = self.positions.get(place, 100)
        made = batch_of(
            [Wire(b"k", value) for value in values],
            topic=topic,
            partition=partition,
            first_offset=first,
            start=self.positions.get(place, UNKNOWN_START),
        )
        self.positions[place] = made.spans[0].end
        self.processor.in_flight.add(caught_up=caught_up)
        return Poll(self.epoch, caught_up, [made])

    def rewind(self) -> None:
        """Do what the poller does when a rewind is wanted: go on from the last commit, in the new epoch."""
        self.processor.rewind_wanted.clear()
        self.epoch = self.processor.epoch
        self.processor.in_flight.begin(self.epoch)
        self.positions.clear()

    def written(self) -> list[bytes | None]:
        """Return the values that a reader of committed records sees."""
        return [record.value for record in self.output.committed]

    def state(self) -> object:
        return self.written(), dict(self.output.offsets), self.processor.epoch, self.processor.rewind_wanted.is_set()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    clock = Clock()
    monkeypatch.setattr(processor_module, "time", clock)
    return Bench(clock)


def test_outputs_offsets_and_quarantine_commit_together_under_the_prefix(bench: Bench) -> None:
    bench.processor.process(bench.fetch(b"1", b"bad", b"2", caught_up=True))
    assert [(r.topic, r.key, r.value) for r in bench.output.committed] == [
        (PREFIX + PREDICTIONS.name, b"k", b"1"),
        (PREFIX + PREDICTIONS.name, b"k", b"2"),
        (PREFIX + QUARANTINE.name, None, b"bad"),
    ]
    assert bench.output.committed[2].headers == (("cs-reason", b"schema"),)
    assert bench.output.offsets == {(EVENTS.name, 0): 103}


def test_it_commits_at_once_after_a_poll_that_left_nothing_behind(bench: Bench) -> None:
    one, two = bench.fetch(b"1"), bench.fetch(b"2", caught_up=True)
    bench.processor.process(one)
    assert bench.output.offsets == {}
    bench.processor.process(two)
    assert bench.output.offsets == {(EVENTS.name, 0): 102}
    assert bench.output.calls.count("commit") == 1


def test_with_more_on_its_way_it_commits_after_the_interval_and_not_before(bench: Bench) -> None:
    one, two, _ = bench.fetch(b"1"), bench.fetch(b"2"), bench.fetch(b"3")
    bench.clock.now_s += INTERVAL_S - 0.01
    bench.processor.process(one)
    assert bench.output.offsets == {}
    bench.clock.now_s += 0.01
    bench.processor.process(two)
    assert bench.output.offsets == {(EVENTS.name, 0): 102}


def test_the_timer_commits_what_waited_for_the_interval(bench: Bench) -> None:
    one, _ = bench.fetch(b"1"), bench.fetch(b"2")
    bench.processor.process(one)
    bench.processor.commit_if_due()
    assert bench.written() == []
    bench.clock.now_s += INTERVAL_S
    bench.processor.commit_if_due()
    assert bench.written() == [b"1"]


def test_the_offsets_go_out_before_the_records_when_a_poll_ends_the_transaction(bench: Bench) -> None:
    """What comes first waits for the broker to close the last transaction: offsets do so for less than records."""
    bench.processor.process(bench.fetch(b"1", caught_up=True))
    assert bench.output.calls == ["send_offsets", "write", "commit"]


def test_the_time_of_a_commit_holds_the_offsets_and_not_the_work_between(bench: Bench) -> None:
    class Slow(FakeOutput):
        def send_offsets(self, offsets: Offsets, member: Member) -> None:
            bench.clock.now_s += 1
            super().send_offsets(offsets, member)

        def write(self, topic: str, records: Sequence[Record]) -> None:
            bench.clock.now_s += 10
            super().write(topic, records)

        def commit(self) -> None:
            bench.clock.now_s += 2
            super().commit()

    bench.output = Slow()
    bench.__post_init__()
    bench.processor.process(bench.fetch(b"1", caught_up=True))
    assert b'cardiosentry_step_seconds_sum{step="commit"} 3.0\n' in bench.processor._telemetry.exposition()


def test_one_poll_may_bring_several_topics_and_partitions(bench: Bench) -> None:
    spans = [Span(0, 0, UNKNOWN_START, [5, 6]), Span(3, 2, UNKNOWN_START, [0])]
    mixed = replace(batch_of([Wire(b"k", b"%d" % number) for number in range(3)]), spans=spans)
    other = bench.fetch(b"x", topic=OUTCOMES.name, caught_up=True)
    bench.processor.process(replace(other, batches=[mixed, *other.batches]))
    assert bench.written() == [b"0", b"1", b"2", b"x"]
    assert bench.output.offsets == {(EVENTS.name, 0): 7, (EVENTS.name, 3): 1, (OUTCOMES.name, 0): 101}
    # Each partition goes on for itself.
    mixed = replace(mixed, spans=[Span(3, 0, 1, [1, 2]), Span(0, 2, 7, [7])])
    bench.processor.process(Poll(bench.epoch, caught_up=True, batches=[mixed]))
    assert not bench.processor.rewind_wanted.is_set()
    # A gap in one of them is a gap.
    mixed = replace(mixed, spans=[Span(3, 0, 3, [3, 4]), Span(0, 2, 9, [9])])
    bench.processor.process(Poll(bench.epoch, caught_up=True, batches=[mixed]))
    assert bench.processor.rewind_wanted.is_set()
    assert bench.output.offsets == {(EVENTS.name, 0): 8, (EVENTS.name, 3): 3, (OUTCOMES.name, 0): 101}


def test_there_is_room_again_once_a_poll_is_finished_or_dropped(bench: Bench) -> None:
    in_flight = bench.processor.in_flight
    one = bench.fetch(b"1", caught_up=True)
    assert not in_flight.wait_for_room(0)
    bench.processor.process(one)
    assert in_flight.wait_for_room(0)
    stale = bench.fetch(b"2", caught_up=True)
    bench.processor.partitions_revoked()
    bench.processor.process(stale)
    assert in_flight.wait_for_room(0)


def test_the_timer_with_nothing_to_commit_calls_nobody(bench: Bench) -> None:
    bench.clock.now_s += 1000
    bench.processor.commit_if_due()
    assert bench.output.calls == []


def test_partitions_and_topics_chain_up_each_for_itself(bench: Bench) -> None:
    polls = [
        bench.fetch(b"1"),
        bench.fetch(b"a", partition=1),
        bench.fetch(b"x", topic=OUTCOMES.name),
        bench.fetch(b"2"),
        bench.fetch(b"b", partition=1, caught_up=True),
    ]
    for poll in polls:
        bench.processor.process(poll)
    assert bench.written() == [b"1", b"a", b"x", b"2", b"b"]
    assert bench.output.offsets == {(EVENTS.name, 0): 102, (EVENTS.name, 1): 102, (OUTCOMES.name, 0): 101}


def gap(bench: Bench) -> None:
    bench.fetch(b"lost on the way")
    bench.processor.process(bench.fetch(b"3"))


def doubled(bench: Bench) -> None:
    poll = bench.fetch(b"3")
    bench.processor.process(poll)
    bench.processor.process(poll)


def restarted(bench: Bench) -> None:
    """A second first batch of a partition in one epoch."""
    bench.positions.clear()
    bench.processor.process(bench.fetch(b"3"))


def failed_write(bench: Bench) -> None:
    bench.output.failures = ["write"]
    bench.processor.process(bench.fetch(b"3"))


def failed_quarantine(bench: Bench) -> None:
    bench.output.failures = ["write_quarantined"]
    bench.processor.process(bench.fetch(b"3", b"bad"))


def failed_offsets(bench: Bench) -> None:
    bench.output.failures = ["send_offsets"]
    bench.processor.process(bench.fetch(b"3", caught_up=True))


def failed_commit(bench: Bench) -> None:
    bench.output.failures = ["commit"]
    bench.processor.process(bench.fetch(b"3", caught_up=True))


def failed_commit_of_the_timer(bench: Bench) -> None:
    bench.clock.now_s += INTERVAL_S
    bench.output.failures = ["commit"]
    bench.processor.commit_if_due()


def stalled(bench: Bench) -> None:
    """A poll that was handed over and never comes, while nothing else does."""
    bench.fetch(b"lost on the way")
    bench.clock.now_s += processor_module._STALLED_S - 0.1
    bench.output.failures = []
    bench.processor.commit_if_due()
    assert not bench.processor.rewind_wanted.is_set()
    bench.clock.now_s += processor_module._STALLED_S
    bench.processor.commit_if_due()


REWINDS = [
    gap,
    doubled,
    restarted,
    failed_write,
    failed_quarantine,
    failed_offsets,
    failed_commit,
    failed_commit_of_the_timer,
]


@pytest.mark.parametrize("trouble", REWINDS, ids=lambda trouble: trouble.__name__)
def test_after_trouble_all_since_the_last_commit_is_aborted_and_fetched_again(
    bench: Bench, trouble: Callable[[Bench], None]
) -> None:
    bench.processor.process(bench.fetch(b"1", caught_up=True))
    waiting, _ = bench.fetch(b"2"), bench.fetch(b"on its way", partition=7)
    bench.processor.process(waiting)
    epoch = bench.processor.epoch
    trouble(bench)

    assert bench.written() == [b"1"]
    assert bench.output.offsets == {(EVENTS.name, 0): 101}
    assert bench.output.pending == []
    assert bench.output.calls[-1] == "abort"
    assert bench.processor.rewind_wanted.is_set()
    assert bench.processor.epoch > epoch
    bench.rewind()
    bench.processor.process(bench.fetch(b"2", b"3", caught_up=True))
    assert bench.written() == [b"1", b"2", b"3"]


def test_a_poll_that_never_comes_is_fetched_again(bench: Bench) -> None:
    bench.processor.process(bench.fetch(b"1", caught_up=True))
    stalled(bench)
    assert bench.processor.rewind_wanted.is_set()
    assert bench.output.calls[-1] == "abort"
    assert bench.written() == [b"1"]


def test_what_fails_again_and_again_is_tried_ever_more_slowly_until_a_commit(bench: Bench) -> None:
    """A topic that may not be written to must not become a loop that heats the broker."""
    for _ in range(8):
        failed_write(bench)
        bench.rewind()
    slept = list(bench.clock.slept_s)
    assert slept == sorted(slept)
    assert slept[0] == 0
    assert 1 <= slept[-1] == slept[-2] <= 5
    bench.processor.process(bench.fetch(b"1", caught_up=True))
    assert bench.written() == [b"1"]
    failed_write(bench)
    assert bench.clock.slept_s[len(slept) :] == [0]


def test_how_long_work_waits_is_told_and_nothing_waits_after_a_commit(bench: Bench) -> None:
    assert bench.processor.waits_s() == 0
    one, two = bench.fetch(b"1"), bench.fetch(b"2", caught_up=True)
    bench.clock.now_s += 0.1
    bench.processor.process(one)
    assert bench.processor.waits_s() == pytest.approx(0.1)
    bench.processor.process(two)
    bench.clock.now_s += 100
    assert bench.processor.waits_s() == 0


def test_a_stall_is_counted_from_the_last_progress(bench: Bench) -> None:
    polls = [bench.fetch(b"%d" % number) for number in range(4)]
    for poll in polls[:3]:
        bench.clock.now_s += processor_module._STALLED_S - 1
        bench.processor.process(poll)
        bench.processor.commit_if_due()
    assert not bench.processor.rewind_wanted.is_set()


def test_a_poll_of_an_earlier_epoch_is_dropped(bench: Bench) -> None:
    stale = bench.fetch(b"stale")
    bench.assign()
    before = bench.state()
    bench.processor.process(stale)
    assert bench.state() == before
    assert bench.output.calls == []
    bench.processor.process(bench.fetch(b"stale", caught_up=True))  # fetched again, it is processed once
    assert bench.written() == [b"stale"]


def test_before_partitions_are_given_back_what_was_processed_is_committed(bench: Bench) -> None:
    one, two = bench.fetch(b"1"), bench.fetch(b"2")
    bench.processor.process(one)
    bench.processor.partitions_revoked()
    assert bench.written() == [b"1"]
    assert bench.output.offsets == {(EVENTS.name, 0): 101}
    bench.processor.process(two)  # it was on its way; another worker fetches it now
    assert bench.written() == [b"1"]
    assert bench.output.pending == []


def test_a_commit_that_fails_while_giving_back_is_aborted_and_raises_nothing(bench: Bench) -> None:
    one, _ = bench.fetch(b"1"), bench.fetch(b"2")
    bench.processor.process(one)
    bench.output.failures = ["commit"]
    bench.processor.partitions_revoked()
    assert bench.written() == []
    assert bench.output.calls[-1] == "abort"
    bench.assign()
    bench.processor.process(bench.fetch(b"1", caught_up=True))
    assert bench.written() == [b"1"]


@pytest.mark.parametrize("then", ["timer", "stale poll", "assignment", "revocation"])
def test_what_was_processed_of_lost_partitions_is_never_committed(bench: Bench, then: str) -> None:
    one, two = bench.fetch(b"1"), bench.fetch(b"2")
    bench.processor.process(one)
    bench.clock.now_s += 10 * INTERVAL_S
    bench.processor.partitions_lost()
    match then:
        case "timer":
            bench.processor.commit_if_due()
        case "stale poll":
            bench.processor.process(two)
        case "assignment":
            bench.assign()
        case "revocation":
            bench.processor.partitions_revoked()
    assert bench.written() == []
    assert bench.output.offsets == {}
    assert bench.output.pending == []
    assert "abort" in bench.output.calls
    bench.assign()
    bench.processor.process(bench.fetch(b"1", caught_up=True))
    assert bench.written() == [b"1"]


def test_a_worker_that_is_busy_too_long_gives_its_partitions_up_without_a_commit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group does not wait for a commit that hangs: the partitions count as lost, and what hangs is aborted."""
    monkeypatch.setattr(processor_module, "_REVOKE_S", 0.01)
    one, _ = bench.fetch(b"1"), bench.fetch(b"2")
    bench.processor.process(one)
    with bench.processor._lock:
        bench.processor.partitions_revoked()
    bench.clock.now_s += 10 * INTERVAL_S
    bench.processor.commit_if_due()
    assert bench.written() == []
    assert bench.output.calls[-1] == "abort"


def test_work_is_committed_as_the_member_that_did_it(bench: Bench) -> None:
    """The broker refuses a member of an earlier generation; so does the fake: a zombie commits nothing."""
    mine = member()
    bench.assign(mine)
    one, _ = bench.fetch(b"1"), bench.fetch(b"2")
    bench.processor.process(one)
    bench.output.current = member()  # a rebalance that this worker has not heard of
    bench.processor.partitions_revoked()
    assert bench.written() == []
    bench.assign(bench.output.current)
    bench.processor.process(bench.fetch(b"1", caught_up=True))
    assert bench.written() == [b"1"]


def test_a_defect_in_a_pipeline_ends_the_worker_and_leaves_everything_as_it_was(bench: Bench) -> None:
    bench.processor.process(bench.fetch(b"1", caught_up=True))
    before, calls = bench.state(), list(bench.output.calls)
    with pytest.raises(ZeroDivisionError):
        bench.processor.process(bench.fetch(b"bug"))
    assert bench.state() == before
    assert bench.output.calls == calls


def test_an_error_that_nobody_may_retry_ends_the_worker_without_a_commit(bench: Bench) -> None:
    class Fatal(FakeOutput):
        def commit(self, *_: object) -> None:
            raise PermissionError("fenced")

    bench.output = Fatal()
    bench.__post_init__()
    with pytest.raises(PermissionError):
        bench.processor.process(bench.fetch(b"1", caught_up=True))
    assert bench.output.offsets == {}
    assert not bench.processor.rewind_wanted.is_set()


def test_closing_drops_what_is_not_committed(bench: Bench) -> None:
    one, _ = bench.fetch(b"1"), bench.fetch(b"2")
    bench.processor.process(one)
    bench.processor.close()
    assert bench.output.closed
    assert bench.written() == []
