"""The shipper as a process, what it is to ship, and what of it came to be in Elasticsearch."""

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
from confluent_kafka import Producer
from elasticsearch import Elasticsearch

from contracts.codec import encode
from contracts.events import DecodedPrediction, ModelRef
from contracts.settings import Settings
from contracts.topics import PREDICTIONS
from monitoring.elastic.setup import set_up
from monitoring.elastic.streams import STREAMS, Names
from tests.support.process import CommandProcess
from tests.support.waiting import wait_for

MODEL = ModelRef("heart-disease-uci", "1.0.0", "sha256:" + "0" * 64)


def prediction(number: int, at_ms: int, source: str = "st-mary/icu") -> DecodedPrediction:
    """Return a prediction of its own for each number."""
    return DecodedPrediction(
        event_id=str(uuid.UUID(int=number)),
        patient_id="pp1_" + "a" * 26,
        source=source,
        model=MODEL,
        role="champion",
        probability=0.25,
        decision="negative",
        threshold=0.4,
        authenticated=True,
        missing=1,
        anomaly=0.5,
        observed_at=at_ms,
        scored_at=at_ms,
    )


def predictions(count: int, first_ms: int, last_ms: int, *, start: int = 0) -> list[tuple[bytes, int]]:
    """Return the values of predictions and the times at which Kafka is to have them, evenly between two times."""
    step = (last_ms - first_ms) / max(1, count - 1)
    times = [first_ms + round(step * number) for number in range(count)]
    return [(encode(prediction(start + number, at_ms)), at_ms) for number, at_ms in enumerate(times)]


def publish(bootstrap: str, topic: str, records: Iterable[tuple[bytes, int]]) -> None:
    """Write records, each a value and its time, over all partitions; wait until the broker has them."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20})
    for number, (value, at_ms) in enumerate(records):
        while True:
            try:
                producer.produce(topic, value, str(number).encode(), timestamp=at_ms)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(120) == 0


class Shipping(CommandProcess):
    """`cardiosentry ship` of the system under `prefix`; leaving the context kills it."""

    stop_s = 60.0

    def __init__(self, bootstrap: str, prefix: str, address: str, keys: Path, log: Path, **env: str) -> None:
        super().__init__(
            log,
            *("ship", "--bootstrap", bootstrap, "--topic-prefix", prefix, "--elastic", address),
            *("--keys", str(keys), "--group", f"{prefix}group"),
            env=env,
        )


class Shipped:
    """What is in Elasticsearch of the system under `prefix`; `set_up` first."""

    def __init__(self, address: str, prefix: str, user: tuple[str, str] | None = None) -> None:
        self.client = Elasticsearch(address, basic_auth=user, request_timeout=30, max_retries=5, retry_on_timeout=True)
        self.names = Names(prefix)
        self._patterns = {stream.name: self.names.pattern(stream) for stream in STREAMS}

    def set_up(self) -> Self:
        """Do what `ship --setup --without-ilm` does."""
        list(set_up(self.client, self.names, ilm=False, keep_days={}))
        return self

    def count(self, stream: str) -> int:
        """Return how many documents a stream has; 0 while Elasticsearch is away."""
        pattern = self._patterns[stream]
        try:
            self.client.indices.refresh(index=pattern, allow_no_indices=True)
            return int(self.client.count(index=pattern, allow_no_indices=True)["count"])
        except Exception:  # whatever a server that comes or goes answers: asked again
            return 0

    def wait_for(self, stream: str, count: int, shipping: Shipping, timeout_s: float = 120) -> None:
        """Wait until a stream has that many documents."""
        wait_for(lambda: self.count(stream) >= count, timeout_s, lambda: f"{self.count(stream)} {shipping.text()}")

    def documents(self, stream: str) -> list[dict[str, Any]]:
        """Return every document of a stream, 10,000 at most, with `_index`, `_id` and `_source`."""
        pattern = self._patterns[stream]
        self.client.indices.refresh(index=pattern)
        return list(self.client.search(index=pattern, size=10_000, sort="_doc")["hits"]["hits"])

    def event_ids(self) -> dict[str, list[str]]:
        """Return the event ids of all predictions by their index, however many they are."""
        from elasticsearch.helpers import scan

        pattern = self._patterns["predictions"]
        self.client.indices.refresh(index=pattern)
        found: dict[str, list[str]] = {}
        query = {"_source": ["cardiosentry.event_id"]}
        for hit in scan(self.client, query=query, index=pattern, size=5000):
            found.setdefault(hit["_index"], []).append(hit["_source"]["cardiosentry"]["event_id"])
        return found


def check_once(shipped: Shipped, sent: Sequence[tuple[bytes, int]]) -> None:
    """Fail unless every prediction is there once, in the index of its day."""
    wanted: dict[str, list[str]] = {}
    for value, at_ms in sent:
        index = shipped.names.index(STREAMS[0], at_ms)
        wanted.setdefault(index, []).append(msgspec.json.decode(value, type=DecodedPrediction).event_id)
    found = shipped.event_ids()
    assert {index: len(ids) for index, ids in found.items()} == {index: len(ids) for index, ids in wanted.items()}
    assert {index: set(ids) for index, ids in found.items()} == {index: set(ids) for index, ids in wanted.items()}


TOPIC = PREDICTIONS.name


def settings_of(bootstrap: str, prefix: str, keys: Path) -> Settings:
    """Return the settings of the system under `prefix`."""
    return Settings(bootstrap=bootstrap, topic_prefix=prefix, keys=str(keys))
