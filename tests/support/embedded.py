"""librdkafka's mock cluster: a broker inside the process, for tests that need no more than its protocol.

It creates a topic on first use, with 4 partitions, keeps about 5 MB of each, and shows aborted records to everybody.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

PARTITIONS = 4


@contextmanager
def embedded_broker() -> Iterator[str]:
    """Run a mock cluster of one node and yield its address; it ends with the context."""
    # The address is never called: the mock cluster takes its place.
    cluster = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1})
    broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    try:
        yield f"{broker.host}:{broker.port}"
    finally:
        cluster.close()
