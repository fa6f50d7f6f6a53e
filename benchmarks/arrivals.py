"""A read_committed consumer, in a process of its own, that notes when it sees the prediction of each event."""

import argparse
import time
from pathlib import Path
from typing import cast

import numpy as np
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from benchmarks.cluster import Cluster
from benchmarks.events import sequence_of
from tests.support.broker import end_offsets

_ID = slice(len(b'{"event_id":"'), len(b'{"event_id":"') + 36)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bootstrap", required=True)
    arguments.add_argument("--topic", required=True)
    arguments.add_argument("--count", type=int, required=True, help="stop after as many predictions")
    arguments.add_argument("--timeout-s", type=float, required=True, help="stop when none came for as long")
    arguments.add_argument("--out", type=Path, required=True, help="where the arrivals go, as .npz")
    options = arguments.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": options.bootstrap,
            "group.id": f"{options.topic}-arrivals",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "log_level": 3,
        }
    )
    ends = end_offsets(Cluster(options.bootstrap, "").admin, options.topic)
    consumer.assign([TopicPartition(options.topic, partition, offset) for partition, offset in ends.items()])
    consumer.poll(0)
    print("ready", flush=True)
    sequences, times = follow(consumer, options.count, options.timeout_s)
    consumer.close()
    np.savez(options.out, sequences=sequences, arrivals_ns=times)


def follow(consumer: Consumer, count: int, timeout_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the predicted events and when they came, monotonic clock in ns; shape (n,) each."""
    sequences = np.empty(count, np.int64)
    times = np.empty(count, np.int64)
    seen, last = 0, time.monotonic()
    while seen < count and time.monotonic() - last < timeout_s:
        first = consumer.poll(0.1)
        if first is None:
            continue
        messages = [first, *consumer.consume(min(10_000, count - seen), 0)][: count - seen]
        now_ns, last = time.monotonic_ns(), time.monotonic()
        times[seen : seen + len(messages)] = now_ns
        sequences[seen : seen + len(messages)] = [_sequence(message) for message in messages]
        seen += len(messages)
    return sequences[:seen], times[:seen]


def _sequence(message: Message) -> int:
    if (error := message.error()) is not None:
        raise KafkaException(error)
    return sequence_of(cast(bytes, message.value())[_ID])


if __name__ == "__main__":
    main()
