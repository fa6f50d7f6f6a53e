"""Invariant: whatever is lost, refused or rebalanced, the committed output is the committed part of the input, once.

A partition's log, a poller that chains what it polls, a queue that may lose polls, and an output that fails at random;
after each step, what a read_committed reader sees of a partition is its log up to the committed offset, in order.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import stream_app.processor as processor_module
from contracts.topics import EVENTS, OUTCOMES
from stream_app.batch import UNKNOWN_START, Poll
from stream_app.processor import Processor
from stream_app.telemetry import Telemetry
from tests.stream_app.support import FakeOutput, Wire, batch_of, member
from tests.stream_app.test_processor import Clock, echo

Place = tuple[str, int]
PLACES: list[Place] = [(EVENTS.name, 0), (EVENTS.name, 1), (OUTCOMES.name, 0)]
FAILURES = ["write", "write_quarantined", "send_offsets", "commit"]


class History(RuleBasedStateMachine):
    """One worker's life. The poller's thread and the pipeline's take turns, one call at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.clock = Clock()
        self.patch.setattr(processor_module, "time", self.clock)
        self.output = FakeOutput()
        self.processor = Processor(
            {EVENTS.name: echo, OUTCOMES.name: echo},
            self.output,
            Telemetry(),
            prefix="",
            commit_interval_s=0.5,
            clock_ms=lambda: 0,
        )
        self.log: dict[Place, list[bytes]] = {place: [] for place in PLACES}
        self.queue: list[Poll] = []  # between poller and pipeline
        self.next: dict[Place, int] = {}  # where the consumer reads on
        self.chained: dict[Place, int] = {}  # where the poller's last poll ended
        self.epoch = 0
        self.assigned = False

    def teardown(self) -> None:
        self.output.failures = []
        self.drain()
        for place in PLACES:
            assert self.visible(place) == self.log[place], "expected every record once at the end"
        self.patch.undo()

    # The world

    @rule(place=st.sampled_from(PLACES), count=st.integers(1, 5), bad=st.booleans())
    def somebody_publishes(self, place: Place, count: int, bad: bool) -> None:
        for _ in range(count):
            name = f"{place[0]}/{place[1]}/{len(self.log[place])}"
            self.log[place].append(f"{'bad ' if bad else ''}{name}".encode())

    @rule(call=st.sampled_from(FAILURES))
    def the_broker_will_refuse_a_call(self, call: str) -> None:
        if call not in self.output.failures:
            self.output.failures.append(call)

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.6, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now_s += seconds

    # The poller's thread

    @precondition(lambda self: not self.assigned)
    @rule()
    def partitions_are_assigned(self) -> None:
        self.output.current = member()
        self.epoch = self.processor.partitions_assigned(len(PLACES), self.output.current)
        self.processor.in_flight.begin(self.epoch)
        self.read_from_the_commit()
        self.assigned = True

    @precondition(lambda self: self.assigned)
    @rule(caught_up=st.booleans(), count=st.integers(1, 4), place=st.sampled_from(PLACES))
    def a_poll_brings_records(self, caught_up: bool, count: int, place: Place) -> None:
        self.rewind_if_wanted()
        first = self.next[place]
        values = self.log[place][first : first + count]
        if not values:
            return
        made = batch_of(
            [Wire(b"k", value) for value in values],
            topic=place[0],
            partition=place[1],
            first_offset=first,
            start=self.chained.get(place, UNKNOWN_START),
        )
        self.next[place] = self.chained[place] = made.spans[0].end
        self.processor.in_flight.add(caught_up=caught_up)
        self.queue.append(Poll(self.epoch, caught_up, [made]))

    @precondition(lambda self: self.assigned)
    @rule()
    def partitions_are_given_back(self) -> None:
        self.processor.partitions_revoked()
        self.assigned = False

    @precondition(lambda self: self.assigned)
    @rule()
    def partitions_are_lost(self) -> None:
        self.output.current = member()  # somebody else has them: our commits are refused
        self.processor.partitions_lost()
        self.assigned = False

    def rewind_if_wanted(self) -> None:
        if self.processor.rewind_wanted.is_set():
            self.processor.rewind_wanted.clear()
            self.epoch = self.processor.epoch
            self.processor.in_flight.begin(self.epoch)
            self.read_from_the_commit()

    def read_from_the_commit(self) -> None:
        self.chained.clear()
        self.next = {place: self.output.offsets.get(place, 0) for place in PLACES}

    # The pipeline's thread

    @precondition(lambda self: self.queue)
    @rule()
    def a_poll_is_processed(self) -> None:
        self.processor.process(self.queue.pop(0))

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def a_poll_is_lost_on_the_way(self, data: st.DataObject) -> None:
        self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1)))

    @rule()
    def the_timer_fires(self) -> None:
        self.processor.commit_if_due()

    # What must hold

    @invariant()
    def the_committed_output_is_the_committed_input(self) -> None:
        for place in PLACES:
            assert self.visible(place) == self.log[place][: self.output.offsets.get(place, 0)]

    def visible(self, place: Place) -> list[bytes]:
        """Return the committed records of a partition in the order of their offsets (two topics keep no order)."""
        tail = f"{place[0]}/{place[1]}/"
        found = [record.value or b"" for record in self.output.committed if tail.encode() in (record.value or b"")]
        good = [value for value in found if not value.startswith(b"bad")]
        bad = [value for value in found if value.startswith(b"bad")]
        for part in (good, bad):
            assert part == sorted(part, key=_number), "expected the order of offsets in each topic"
        return sorted(found, key=_number)

    def drain(self) -> None:
        """Let everything go well: after a while all is committed, with no need for anybody to step in."""
        for _ in range(20):
            if not self.assigned:
                self.partitions_are_assigned()
            self.rewind_if_wanted()
            for place in PLACES:
                self.a_poll_brings_records(caught_up=True, count=1000, place=place)
            while self.queue:
                self.a_poll_is_processed()
            self.clock.now_s += 6.0
            self.processor.commit_if_due()


def _number(value: bytes) -> int:
    return int(value.rpartition(b"/")[2])


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
