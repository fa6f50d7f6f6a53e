"""An open-loop load, in a process of its own: every event is sent when it is due, however the system fares."""

import argparse
import json
import time
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.events import EventMaker
from benchmarks.load import PRODUCER, mac_headers, signing_key
from contracts.mac import SourceKey

_TICK_S = 0.001
LINGER_MS = 1


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bootstrap", required=True)
    arguments.add_argument("--topic", required=True)
    arguments.add_argument("--rate", type=int, required=True, help="events/s")
    arguments.add_argument("--count", type=int, required=True)
    arguments.add_argument("--start-ns", type=int, required=True, help="when event 0 is due, monotonic clock")
    arguments.add_argument("--keys", type=Path, help="sign with the key that the keyring in this directory has")
    options = arguments.parse_args()
    key = signing_key(options.keys) if options.keys else None
    late_ms = generate(
        options.bootstrap, options.topic, rate=options.rate, count=options.count, start_ns=options.start_ns, key=key
    )
    print(json.dumps({"latest_sending_ms": late_ms}))


def generate(bootstrap: str, topic: str, *, rate: int, count: int, start_ns: int, key: SourceKey | None) -> float:
    """Send event number s at `start_ns` + s / `rate`; return how late the sending was at worst, in ms."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": LINGER_MS, "log_level": 3, **PRODUCER})
    producer.list_topics(topic, timeout=10)  # connected before the first event is due
    maker = EventMaker()
    start_ms = time.time() * 1000 + (start_ns - time.monotonic_ns()) / 1e6
    sent, late_ns = 0, 0
    while sent < count:
        now_ns = time.monotonic_ns()
        due = min(count, (now_ns - start_ns) * rate // 1_000_000_000 + 1) if now_ns >= start_ns else 0
        if due > sent:
            late_ns = max(late_ns, now_ns - start_ns - sent * 1_000_000_000 // rate)
        for sequence in range(sent, due):
            patient, value = maker.record(sequence, int(start_ms + sequence * 1000 / rate))
            producer.produce(topic, value, patient, headers=mac_headers(key, patient, value) if key else None)
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(_TICK_S)
    if left := producer.flush(60):
        raise RuntimeError(f"topic {topic}: expected every event delivered, got {left} undelivered")
    return late_ns / 1e6


if __name__ == "__main__":
    main()
