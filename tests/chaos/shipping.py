"""Kills the shipper and Elasticsearch while predictions are shipped, and counts every document: `make chaos-ship`.

Their times in Kafka are on both sides of midnight, so that two days' indices fill. The test suite has the short form.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from cli.keyfiles import generate_keys
from contracts.topics import PREDICTIONS
from tests.support.broker import Broker
from tests.support.elastic import ElasticServer
from tests.support.kafka import KafkaServer
from tests.support.shipping import Shipped, Shipping, check_once, predictions, publish

DAY_MS = 86_400_000
HALF_AN_HOUR_MS = 1_800_000
DONE_S = 300.0


def chaos(
    documents: int, kills: Sequence[str], broker: Broker, elastic: ElasticServer, keys: Path, log: Path
) -> Shipping:
    """Ship that many predictions while "ship" and "elastic" are killed in this order, each time under way.

    Fails unless every one is there once, in the index of its day. Returns the shipper, which has ended.
    """
    midnight_ms = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS
    sent = predictions(documents, midnight_ms - HALF_AN_HOUR_MS, midnight_ms + HALF_AN_HOUR_MS)
    prefix = broker.topics("chaos-ship")
    shipped = Shipped(elastic.address, prefix).set_up()
    slices = len(kills) + 1
    size = -(-documents // slices)
    with Shipping(broker.bootstrap, prefix, elastic.address, keys, log) as shipping:
        published = 0
        for kill in (*kills, None):
            before, part = shipped.count("predictions"), sent[published : published + size]
            now, later = part[: len(part) // 2], part[len(part) // 2 :]
            publish(broker.bootstrap, prefix + PREDICTIONS.name, now)
            published += len(part)
            # It dies with documents on their way, some of them there and none of them committed; more come meanwhile.
            shipped.wait_for("predictions", before + 1, shipping, DONE_S)
            if kill is not None:
                print(f"{shipped.count('predictions')} of {published} are there: {kill} is killed", file=sys.stderr)
            if kill == "ship":
                shipping.stop(signal.SIGKILL)
            elif kill == "elastic":
                elastic.kill()
            publish(broker.bootstrap, prefix + PREDICTIONS.name, later)
            if kill == "ship":
                shipping.start()
            elif kill == "elastic":
                elastic.start()
        shipped.wait_for("predictions", documents, shipping, DONE_S)
        assert shipping.stop() == 0, shipping.text()
    check_once(shipped, sent)
    return shipping


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000, help="(default: %(default)s)")
    options = parser.parse_args()
    kills = ("ship", "ship", "elastic", "ship", "ship", "elastic", "ship")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cardiosentry-chaos-")))
        list(generate_keys(directory / "keys", ("uci",)))
        kafka = stack.enter_context(KafkaServer())
        elastic = stack.enter_context(ElasticServer())
        started = time.monotonic()
        broker = Broker(kafka.bootstrap, real=True)
        chaos(options.documents, kills, broker, elastic, directory / "keys", directory / "log")
        took = time.monotonic() - started
    print(
        f"{options.documents} documents over a day's change, each there once, in {took:.0f} s; the shipper was killed "
        f"{kills.count('ship')} times, Elasticsearch {kills.count('elastic')} times"
    )


if __name__ == "__main__":
    main()
