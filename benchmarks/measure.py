"""Measuring a contender from outside, the same way for all: by what the broker wrote, and when.

The broker stamps each record as it appends it (LogAppendTime). After the run, off the clock, the committed records
are read, checked and their stamps give the rate: nothing runs beside the contender but a look at the
topic's ends and at the CPU clocks twice a second.
"""

import time
from collections.abc import Callable
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt
import psutil
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from benchmarks.cluster import Cluster
from benchmarks.contenders import Contender, Place, Running, running
from benchmarks.stats import rate
from contracts.codec import decoder
from contracts.events import DecodedPrediction
from contracts.topics import PREDICTIONS, QUARANTINE
from stream_app.quarantine import ORIGIN_HEADER
from tests.support.broker import end_offsets

WARM_UP = 0.1  # of a contender's quota: start-up, first connections and what was fetched ahead meanwhile
TIMEOUT_S = 180
_LOOK_S = 0.5
_SETTLED_S = 1.5
_MARKERS = 1000  # more than the transaction markers, which count as offsets, of any run


class Measurement(msgspec.Struct, frozen=True):
    """One run of one contender. CPU is user and system time of its processes, and of the broker where it is ours.

    `beside_cpu_us_per_event` is the part of it that the process beside used.
    """

    events: int
    events_per_s: float
    cpu_us_per_event: float
    broker_cpu_us_per_event: float | None
    duplicates: int
    beside_cpu_us_per_event: float = 0.0


def measure(
    contender: Contender, place: Place, cluster: Cluster, input_events: int, *, beside: int | None = None
) -> Measurement:
    """Run the contender until its quota is committed; raise `RuntimeError` when it fails or what it wrote is wrong.

    The CPU of `beside`, a process by its id, counts as the contender's.
    """
    topic = place.prefix + contender.output
    quota = int(input_events * contender.share)
    start = quiet_ends(cluster, topic)
    with running(contender, place) as process:
        clocks = _watch(cluster, topic, process, sum(start.values()) + quota, beside)
    timestamps, duplicates = read_committed(
        cluster, topic, start, quiet_ends(cluster, topic), _IDENTITY[contender.output]
    )
    if contender.guarantee == "exactly once" and duplicates:
        raise RuntimeError(f"{contender.name}: expected each event once, got {duplicates} twice")
    events_per_s, first_ms, last_ms = rate(timestamps, quota, int(quota * WARM_UP))
    measured = quota - int(quota * WARM_UP)

    def cpu_us(name: str) -> float:
        return clocks.used_s(name, first_ms, last_ms) / measured * 1e6

    return Measurement(
        events=quota,
        events_per_s=events_per_s,
        cpu_us_per_event=cpu_us("contender") + cpu_us("beside"),
        broker_cpu_us_per_event=cpu_us("broker") if cluster.pid else None,
        duplicates=duplicates,
        beside_cpu_us_per_event=cpu_us("beside"),
    )


class Clocks:
    """CPU seconds used by process trees over time, each by a name; nothing by one whose id is None."""

    def __init__(self, **pids: int | None) -> None:
        self._roots = {name: psutil.Process(pid) for name, pid in pids.items() if pid}
        self._at: list[float] = []
        self._used: dict[str, list[float]] = {name: [] for name in self._roots}

    def look(self) -> None:
        """Note the clocks as they are."""
        self._at.append(time.time() * 1000)
        for name, root in self._roots.items():
            self._used[name].append(sum(map(cpu_s, tree(root))))

    def used_s(self, name: str, first_ms: float, last_ms: float) -> float:
        """Return what was used between two times."""
        if name not in self._used:
            return 0.0
        at_first, at_last = np.interp([first_ms, last_ms], self._at, self._used[name])
        return float(at_last - at_first)


def tree(root: psutil.Process) -> list[psutil.Process]:
    """Return a process and those below it."""
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(process: psutil.Process) -> float:
    """Return the seconds of CPU that a process used; 0 when it is gone."""
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)


def _watch(cluster: Cluster, topic: str, process: Running, target: int, beside: int | None) -> Clocks:
    """Wait until `target` is committed, markers aside; return the clocks."""
    admin, clocks = cluster.admin, Clocks(contender=process.process.pid, beside=beside, broker=cluster.pid)
    deadline = time.monotonic() + TIMEOUT_S
    committed, changed_at = -1, time.monotonic()
    while True:
        process.check()
        clocks.look()
        now, found = time.monotonic(), sum(end_offsets(admin, topic).values())
        if found != committed:
            committed, changed_at = found, now
        if committed >= target + _MARKERS or (committed >= target and now - changed_at > _SETTLED_S):
            return clocks
        if now > deadline:
            lines = process.log.read_text("utf-8", "replace").splitlines()[-20:]
            short = f"expected {target} committed offsets within {TIMEOUT_S} s, got {committed}"
            raise RuntimeError("\n".join([short, *lines]))
        time.sleep(_LOOK_S)


def quiet_ends(cluster: Cluster, topic: str) -> dict[int, int]:
    """Return the ends of the topic once no transaction is open on it."""
    deadline = time.monotonic() + 90  # a killed producer's transaction is aborted after 60 s
    while time.monotonic() < deadline:
        committed = end_offsets(cluster.admin, topic)
        if committed == end_offsets(cluster.admin, topic, committed=False):
            return committed
        time.sleep(0.2)
    raise RuntimeError(f"topic {topic}: expected no open transaction after 90 s")


def read_committed(
    cluster: Cluster,
    topic: str,
    start: dict[int, int],
    end: dict[int, int],
    identity: Callable[[Message], str | bytes],
) -> tuple[npt.NDArray[np.int64], int]:
    """Return the times, in ms, of the committed records between the offsets, and how many identities came twice."""
    timestamps: list[int] = []
    seen: set[str | bytes] = set()
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": f"{topic}-check",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    try:
        places = [TopicPartition(topic, partition, offset) for partition, offset in start.items()]
        consumer.assign(places)
        deadline = time.monotonic() + TIMEOUT_S
        # A partition's last offset may be a marker, which no message has: the position passes it.
        while any(_position(at, start) < end[at.partition] for at in consumer.position(places)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"topic {topic}: expected to read to {end} within {TIMEOUT_S} s")
            for message in consumer.consume(10_000, 0.1):
                if (error := message.error()) is not None:
                    raise KafkaException(error)
                timestamps.append(message.timestamp()[1])
                seen.add(identity(message))
    finally:
        consumer.close()
    return np.array(timestamps, np.int64), len(timestamps) - len(seen)


def _event_id(message: Message) -> str:
    return _decode(cast(bytes, message.value())).event_id


def _origin(message: Message) -> bytes:
    return cast("dict[str, bytes]", dict(message.headers() or []))[ORIGIN_HEADER]


_decode = decoder(DecodedPrediction)
_IDENTITY: dict[str, Callable[[Message], str | bytes]] = {PREDICTIONS.name: _event_id, QUARANTINE.name: _origin}


def _position(at: TopicPartition, start: dict[int, int]) -> int:
    return at.offset if at.offset >= 0 else start[at.partition]
