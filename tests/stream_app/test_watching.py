"""The watch's state: whoever goes on from it tells what its predecessor would have; it is bounded, and no stranger's
record ends a worker."""

import random
import zlib
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.detection import MAX_SAMPLES, SIGNAL_OF, Signal, Signals, SourceSignals
from contracts.topics import MAX_RECORD_BYTES, SIGNALS
from stream_app import watching
from stream_app.batch import Batch
from stream_app.detectors import lateness, snapshots
from stream_app.detectors.counts import MAX_COUNTS, OF_SCORED
from stream_app.detectors.rates import MAX_SOURCES
from stream_app.detectors.rules import load_rules
from stream_app.detectors.shares import MAX_SHARES
from stream_app.detectors.snapshots import KEY, MAX_STATE_BYTES, encode_state, last_state
from stream_app.detectors.watch import Watch
from stream_app.watching import SignalPipeline
from tests.contracts.test_alerts import assert_ecs
from tests.stream_app.support import Wire, batch_of

AT_MS = 1_790_000_040_000
DAY_MS = 86_400_000
RARE: list[Signal] = sorted(set(SIGNAL_OF.values()) | {"repeated", "inconsistent", "near_threshold", "just_below"})


class Topic:
    """detection-signals: what is appended is read in polls, and again by whoever takes over."""

    def __init__(self) -> None:
        self.records: list[Wire] = []
        self.position = 0
        self.alerts: list[bytes] = []

    def history(self, topic: str, partition: int, before: int, count: int) -> Iterator[Batch]:
        first = max(0, before - count)
        if first < before:
            yield batch_of(self.records[first:before], topic=topic, partition=partition, first_offset=first)

    def pipeline(self) -> SignalPipeline:
        return SignalPipeline(new_watch, self.history, lambda: 0.0)

    def append(self, *signals: Signals) -> None:
        self.records += [Wire(b"signals", msgspec.json.encode(each)) for each in signals]

    def poll(self, pipeline: SignalPipeline) -> None:
        """Process what is unread; its outputs are written."""
        batch = batch_of(self.records[self.position :], topic=SIGNALS.name, first_offset=self.position)
        result = pipeline(batch, AT_MS + DAY_MS)
        self.position = len(self.records)
        self.records += [Wire(key, value) for key, value in result.outputs.pop(SIGNALS.name, [])]
        self.alerts += [value for topic in sorted(result.outputs) for _, value in result.outputs[topic]]

    def states(self) -> list[bytes]:
        return [record.value or b"" for record in self.records if record.key == KEY]


def new_watch() -> Watch:
    return Watch(load_rules(), lambda: None, 30)


def stream(seed: int, count: int) -> list[Signals]:
    """Return signals of some hours in which every rule of counts and rates has something to tell."""
    rng = random.Random(seed)
    at_ms = AT_MS
    found = []
    for step in range(count):
        at_ms += rng.choice([0, 1000, 7000, 40_000])
        sources = {}
        for number in range(4):
            if number and rng.random() < 0.4:
                continue
            if number == 3 and step > count * 3 // 4:  # it falls silent
                continue
            counts: dict[Signal, int] = {"scored": rng.choice([20, 40, 2000]), "new_patient": 30}
            counts |= {name: rng.choice([1, 3, 30]) for name in RARE if rng.random() < 0.15}
            if step > count // 2:  # the clock of one falls behind, another's scores rise
                counts |= {"late": counts["scored"]} if number == 1 else {}
                counts |= {"just_below": counts["scored"] // 20, "new_near": 10} if number == 2 else {}
            sources[f"ward/{number}"] = SourceSignals(counts, {name: [f"{name}-{rng.random()}"] for name in counts})
        found.append(Signals(at_ms, sources))
    return found


@pytest.fixture(scope="module", autouse=True)
def short_memory() -> Iterator[None]:
    """Have states written so often, and so little read again, that no takeover does without one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "_STATE_SIGNALS", 5)
        patch.setattr(watching, "SIGNALS_REMEMBERED", 12)
        patch.setattr(watching, "_FURTHEST", 60)
        yield


@given(st.integers(0, 2**32), st.lists(st.sampled_from(["", "", "abort", "takeover", "behind"]), max_size=120))
@settings(deadline=None, max_examples=30)
def test_a_watch_that_is_taken_over_anywhere_tells_what_one_that_is_not_tells(seed: int, cuts: list[str]) -> None:
    whole, cut = Topic(), Topic()
    one, other = whole.pipeline(), cut.pipeline()
    for signals, what in zip(stream(seed, 120), [*cuts, *[""] * 120], strict=False):
        whole.append(signals)
        whole.poll(one)
        cut.append(signals)
        if what == "behind":  # the signals wait, and the state that is written comes after some it does not hold
            continue
        if what == "abort":
            other.aborted()
        if what == "takeover":
            other = cut.pipeline()
        cut.poll(other)
    cut.poll(other)
    assert whole.alerts == cut.alerts
    assert len(whole.alerts) > 10


def test_a_takeover_without_the_states_would_tell_something_else() -> None:
    topic, bare = Topic(), Topic()
    one, other = topic.pipeline(), bare.pipeline()
    for number, signals in enumerate(stream(3, 120)):
        topic.append(signals)
        topic.poll(one)
        bare.append(signals)
        bare.poll(other)
        bare.records = [Wire(b"signals", b"{}") if record.key == KEY else record for record in bare.records]
        if number % 20 == 0:
            one, other = topic.pipeline(), bare.pipeline()
    assert topic.alerts != bare.alerts


def test_a_state_is_written_every_minute_of_the_signals_time_and_none_for_a_state() -> None:
    topic = Topic()
    pipeline = topic.pipeline()
    for second in (0, 30, 59):
        topic.append(Signals(AT_MS + second * 1000, {"icu": SourceSignals({"scored": 1})}))
        topic.poll(pipeline)
    assert topic.states() == []
    topic.append(Signals(AT_MS + 60_000, {"icu": SourceSignals({"scored": 1})}))
    topic.poll(pipeline)
    assert len(topic.states()) == 1
    topic.poll(pipeline)
    assert len(topic.states()) == 1
    found = last_state(topic.states())
    assert found is not None
    assert found[0] == 4


def largest() -> Watch:
    """Return a watch that remembers as much as one can: counts in two windows, all names of the longest."""
    watch = new_watch()
    rng = random.Random(1)
    letters = [f"{rng.getrandbits(4 * 120):0120x}" for _ in range(MAX_SOURCES)]
    for number in range(MAX_SOURCES):
        source = f"{letters[number]}-{number:010}"
        samples: list[str] = [f"{rng.getrandbits(4 * 300):0300x}" for _ in range(MAX_SAMPLES)]
        usual: dict[Signal, int] = {"scored": 10**6, "new_patient": 10**6}
        watch.see(Signals(AT_MS, {source: SourceSignals(usual)}))
        counts: dict[Signal, int] = {"repeated": 10**9, "scored": 1, "late": 1, "just_below": 1}
        counts |= {"new_patient": 1, "new_near": 1}
        watch.see(Signals(AT_MS, {source: SourceSignals(counts, dict.fromkeys(counts, samples))}))
    return watch


def test_a_state_is_bounded_whatever_the_sources_and_comes_back_whole() -> None:
    watch = largest()
    assert len(watch) == MAX_COUNTS + MAX_SHARES + lateness.MAX_SOURCES + MAX_SOURCES
    records = encode_state(watch.state, 7)
    assert len(msgspec.msgpack.encode(watch.state)) <= MAX_STATE_BYTES
    assert len(records) > 5
    assert max(map(len, records)) < MAX_RECORD_BYTES - 1024
    found = last_state(records)
    assert found is not None
    assert found == (7, watch.state)


def one_state(**changes: object) -> bytes:
    """Return the record of a state whose fields were changed by somebody who knows the form."""
    state = msgspec.structs.replace(new_watch().state, **changes)
    (record,) = encode_state(state, 0)
    return record


def part(data: bytes, **changes: int) -> bytes:
    made = snapshots.Part(0, snapshots.digest_of(data), 0, 1, data)
    return msgspec.msgpack.encode(msgspec.structs.replace(made, **changes))


GOOD = one_state()
STRANGE = {
    "nothing": b"",
    "text": b"what a state is not",
    "cut": GOOD[:-20],
    "changed": GOOD[:-1] + bytes([GOOD[-1] ^ 1]),
    "a part that is alone": part(b"x", of=3),
    "a part too many": part(b"x", number=9),
    "not compressed": part(b"x"),
    "of another form": part(zlib.compress(b"\x90")),
    "deep": part(zlib.compress(b"\x91" * 100_000)),
    "deep, as a part": b"\x91" * 100_000,
    "a bomb": part(zlib.compress(bytes(10 * MAX_STATE_BYTES))),
    "no text": part(zlib.compress(b"\x81\xa5rules\xa2\xff\xfe")),
    "of other rules": one_state(rules="others", written=10**6),
    "from the future": msgspec.msgpack.encode(
        msgspec.structs.replace(msgspec.msgpack.decode(GOOD, type=snapshots.Part), end=10**9)
    ),
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_what_only_looks_like_a_state_is_passed_over_for_the_one_before(strange: bytes) -> None:
    topic, clean = Topic(), Topic()
    one, other = topic.pipeline(), clean.pipeline()
    for number, signals in enumerate(stream(5, 60)):
        for each in (topic, clean):
            each.append(signals)
        if number % 10 == 9:
            topic.records.append(Wire(KEY, strange))
            one, other = topic.pipeline(), clean.pipeline()
        topic.poll(one)
        clean.poll(other)
    assert topic.alerts == clean.alerts
    assert topic.alerts


SIGNAL_BYTES = [
    b'{"at":1e400,"sources":{}}',
    b'{"at":99999999999999999,"sources":{"x":{"counts":{"forged":100}}}}',
    b'{"at":253402300799999,"sources":{"x":{"counts":{"forged":100}}}}',
    b'{"at":1790000040000,"sources":{"x":{"counts":{"forged":-100}}}}',
    b'{"at":1790000040000,"sources":{},"part":{"digest":"","events":-1,"totals":[]}}',
    b'{"x":' + b"[" * 100_000,
    b'{"at":1790000040000,"sources":{"\xff":{}}}',
]


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_a_state_of_wild_numbers_ends_no_worker(data: st.DataObject) -> None:
    watch = new_watch()
    for signals in (records := stream(8, 60))[:40]:
        watch.see(signals)
    wild = [0, 1, -1, 2**53, 2**63, -(2**63), 1e308, -1e308, float("inf"), float("nan"), 0.5]
    number = data.draw(st.sampled_from(wild))
    share = data.draw(st.sampled_from([0.01, 0.2, 1.0]))
    rng = random.Random(data.draw(st.integers(0, 99)))

    def changed(value: object) -> object:
        if isinstance(value, dict):
            return {name: changed(each) for name, each in value.items()}
        if isinstance(value, list):
            return [changed(each) for each in value]
        return number if isinstance(value, int | float) and rng.random() < share else value

    packed = msgspec.msgpack.encode(changed(msgspec.msgpack.decode(msgspec.msgpack.encode(watch.state))))
    found = last_state([part(zlib.compress(packed))])
    if found is not None:
        other = new_watch()
        assert other.restore(found[1])
        for signals in records[40:]:
            other.see(signals)
        assert encode_state(other.state, 0)


@pytest.mark.parametrize("value", SIGNAL_BYTES, ids=range(len(SIGNAL_BYTES)))
def test_a_stranger_s_signal_is_none(value: bytes) -> None:
    topic, clean = Topic(), Topic()
    one, other = topic.pipeline(), clean.pipeline()
    topic.records.append(Wire(b"signals", value))
    for signals in stream(6, 40):
        for each, pipeline in ((topic, one), (clean, other)):
            each.append(signals)
            each.poll(pipeline)
    assert topic.alerts == clean.alerts
    assert topic.alerts


def test_every_rule_s_alert_is_an_ecs_document_with_its_source_and_counts() -> None:
    topic = Topic()
    pipeline = topic.pipeline()
    records = stream(7, 400)
    for rule in load_rules().count:
        limit = rule.limits[0]
        counts: dict[Signal, int] = {"scored": int(limit.count / (limit.share or 1)) - limit.count}
        counts |= {rule.signal: limit.count}
        if rule.signal in OF_SCORED:
            counts["scored"] += limit.count
        records.append(Signals(records[-1].at + 3_600_000, {"ward/9": SourceSignals(counts)}))
    for signals in records:
        topic.append(signals)
        topic.poll(pipeline)
    told = {document["rule"]["id"]: document for document in map(msgspec.json.decode, topic.alerts)}
    of_statistics = {"drift", "quality", "poisoned-outcomes"}  # their own tests
    assert told.keys() == {rule.id for rule in load_rules().all} - of_statistics
    for document in told.values():
        assert_ecs(document)
        assert document["labels"]["source"]
        assert document["event"]["start"] <= document["event"]["end"]
