"""Shipping to Elasticsearch: documents a second beside elasticsearch-py's own helpers.

Ours reads its documents from Kafka, decodes and commits them; the helpers are given the same documents in memory, as
dicts.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import msgspec
from confluent_kafka import Message
from elasticsearch import Elasticsearch
from elasticsearch.helpers import parallel_bulk, streaming_bulk
from rich.console import Console

from benchmarks.options import results_parser
from benchmarks.report import WIDTH, caption, context, write_json
from benchmarks.rounds import interleave
from benchmarks.stats import ratio
from contracts.topics import PREDICTIONS
from monitoring.elastic.audit import Judged
from monitoring.elastic.bulk import Bulk, Document
from monitoring.elastic.client import connect
from monitoring.elastic.documents import prediction as document_of
from monitoring.elastic.lane import AT_ONCE, Lane, Route
from monitoring.elastic.records import Source, reader
from monitoring.elastic.streams import PREDICTION_STREAM, Names
from tests.support.broker import Broker
from tests.support.elastic import VERSION, ElasticServer
from tests.support.kafka import VERSION as KAFKA_VERSION
from tests.support.kafka import KafkaServer
from tests.support.shipping import Shipped, predictions, publish


class Rate(msgspec.Struct, frozen=True):
    documents_per_s: float


def main() -> None:
    arguments = results_parser(__doc__, "python -m benchmarks.shipping --documents 20000 --rounds 1")
    arguments.add_argument("--documents", type=int, default=100_000, help="a round (default: %(default)s)")
    arguments.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    options = arguments.parse_args()

    made = context(KAFKA_VERSION)
    made["versions"]["elasticsearch"] = VERSION
    with KafkaServer() as kafka, ElasticServer(heap="1g") as elastic:
        broker = Broker(kafka.bootstrap, real=True)
        rounds = rates(broker, elastic, options.documents, options.rounds)
    figures = [{name: rate.documents_per_s for name, rate in each.items()} for each in rounds]
    summary = {
        "documents_per_s": {name: round(median(each[name] for each in figures)) for name in figures[0]},
        "ratio_to_streaming_bulk": ratio(figures, "cardiosentry", "streaming_bulk"),
        "ratio_to_parallel_bulk": ratio(figures, "cardiosentry", "parallel_bulk"),
    }
    settings = {"documents": options.documents, "rounds": options.rounds}
    document = {"benchmark": "shipping", **made, "settings": settings, "summary": summary, "rounds": figures}
    console = Console(width=WIDTH)
    console.print(summary)
    console.print(caption(made), style="dim")
    console.print(write_json(options.results, "shipping", document))


def rates(broker: Broker, elastic: ElasticServer, documents: int, rounds: int) -> list[dict[str, Rate]]:
    """Return each contender's rate, a mapping a round; all write the same documents into fresh indices."""
    at_ms = time.time_ns() // 1_000_000
    values = predictions(documents, at_ms, at_ms)
    prefix = broker.topics("bench-ship")
    publish(broker.bootstrap, prefix + PREDICTIONS.name, values)
    whole = [msgspec.json.decode(document_of(value)) for value, _ in values]
    one_by_one, side_by_side = partial(streaming_bulk, chunk_size=AT_ONCE), partial(parallel_bulk, chunk_size=AT_ONCE)
    runs: dict[str, Callable[[], Rate]] = {
        "cardiosentry": partial(_ours, broker, elastic, prefix + PREDICTIONS.name, documents),
        "streaming_bulk": partial(_theirs, elastic, whole, at_ms, one_by_one),
        "parallel_bulk": partial(_theirs, elastic, whole, at_ms, side_by_side),
    }
    return interleave(runs, rounds, lambda found: f"{found.documents_per_s:,.0f} documents/s")


@contextmanager
def _fresh(elastic: ElasticServer, wanted: int) -> Iterator[Names]:
    """Yield names that nobody else has; check how many documents came, and delete them."""
    shipped = Shipped(elastic.address, f"bench-{uuid.uuid4().hex[:8]}-").set_up()
    yield shipped.names
    found = shipped.count("predictions")
    if found != wanted:
        raise RuntimeError(f"predictions: expected {wanted} documents, got {found}")
    shipped.client.indices.delete(index=shipped.names.pattern(PREDICTION_STREAM))


def _ours(broker: Broker, elastic: ElasticServer, topic: str, documents: int) -> Rate:
    """From the first record that is read to the last one's commit; joining the group comes before."""
    with _fresh(elastic, documents) as names, connect(elastic.address, "", {}) as client:
        started: list[float] = []

        def new_read() -> Callable[[Message], Document]:
            read = reader({topic: Source(PREDICTION_STREAM, "bench")}, names, lambda *_: Judged(None))

            def timed(message: Message) -> Document:
                if not started:
                    started.append(time.perf_counter())
                return read(message)

            return timed

        stop = threading.Event()
        properties = {"bootstrap.servers": broker.bootstrap}
        route = Route("bench", {topic: "bench"}, new_read)
        lane = Lane(route, f"bench-{uuid.uuid4()}", properties, Bulk(client, stop), "none", stop)
        thread = threading.Thread(target=lane.run)
        thread.start()
        while lane.shipped < documents and thread.is_alive():
            time.sleep(0.002)
        seconds = time.perf_counter() - started[0]
        stop.set()
        thread.join()
    return Rate(documents / seconds)


def _theirs(
    elastic: ElasticServer,
    documents: list[dict[str, Any]],
    at_ms: int,
    helper: Callable[[Elasticsearch, Iterator[dict[str, Any]]], Any],
) -> Rate:
    with _fresh(elastic, len(documents)) as names, connect(elastic.address, "", {}) as client:
        index = names.index(PREDICTION_STREAM, at_ms)
        actions = (
            {"_op_type": "create", "_index": index, "_id": f"bench:predictions:0:{number}", "_source": each}
            for number, each in enumerate(documents)
        )
        started = time.perf_counter()
        for ok, _ in helper(client, actions):
            assert ok
        seconds = time.perf_counter() - started
    return Rate(len(documents) / seconds)


if __name__ == "__main__":
    main()
