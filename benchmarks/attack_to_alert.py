"""From an attack in the stream to its alert: on the console of who looks, and found by a search in Elasticsearch.

A real worker scores a steady stream while somebody sends overheard events again, of a source of its own each time. The
clock starts just before Kafka's client is given the first of them, so it holds scoring, detection, the transaction and
the way of the alert. The search asks for no refresh. First behind a backlog of predictions, then with nothing else to
ship.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from elasticsearch import ApiError
from rich.console import Console
from rich.table import Table

from benchmarks.options import results_parser
from benchmarks.report import WIDTH, caption, context, write_json
from benchmarks.rounds import say
from contracts.topics import PREDICTIONS
from monitoring.elastic.streams import SECURITY_STREAM
from producers.attacks.attacker import rewritten
from producers.sign import Signer
from producers.synthetic import SyntheticPatients
from tests.integration.stream import SteadyLoad, Stream
from tests.support.broker import Broker
from tests.support.console import ConsoleProcess
from tests.support.elastic import VERSION, ElasticServer
from tests.support.kafka import VERSION as KAFKA_VERSION
from tests.support.kafka import KafkaServer
from tests.support.repeating import repeating
from tests.support.serving import Serving
from tests.support.shipping import Shipped, Shipping, predictions, publish
from tests.support.site import Site, make_site
from tests.support.waiting import wait_for

_RULE, _REPEATED = "replayed-events", 20
_GAP_S = 2.2  # the watch writes 30 alerts a minute at most
_LOOK_S = 0.1  # more often would keep a small machine busy with looking
_LOST_S = 60
_WARM_UP = 200_000
_GOALS_S = {"console": 1.0, "elasticsearch": 3.0}

Delays = dict[str, list[float]]
"""Seconds from an attack to its alert, by where it was seen."""


def main() -> None:
    arguments = results_parser(__doc__, "python -m benchmarks.attack_to_alert --attacks 10 --backlog 100000")
    arguments.add_argument("--attacks", type=int, default=100, help="with and without backlog (default: %(default)s)")
    arguments.add_argument("--backlog", type=int, default=1_000_000, help="predictions (default: %(default)s)")
    arguments.add_argument("--rate", type=float, default=200, help="events/s meanwhile (default: %(default)s)")
    options = arguments.parse_args()

    made = context(KAFKA_VERSION)
    made["versions"]["elasticsearch"] = VERSION
    with (
        TemporaryDirectory(prefix="cardiosentry-bench-") as scratch,
        KafkaServer() as kafka,
        ElasticServer(heap="1g") as elastic,
    ):
        system = System(kafka, elastic, make_site(Path(scratch)), Path(scratch))
        with system.running(options.rate):
            say("warming up, not counted …")  # a server that just started runs uncompiled code
            system.behind(_WARM_UP, 10)
            found = {
                "behind a backlog": system.behind(options.backlog, options.attacks),
                "calm": system.calm(options.attacks),
            }
    summary = {
        phase: {
            place: {f"p{share}": round(float(np.percentile(each, share)), 2) for share in (50, 99, 100)}
            for place, each in delays.items()
        }
        for phase, delays in found.items()
    }
    console = Console(width=WIDTH)
    console.print(_table(found, summary))
    console.print(caption(made), style="dim")
    settings = {name: getattr(options, name) for name in ("attacks", "backlog", "rate")}
    document = {"benchmark": "attack_to_alert", **made, "settings": settings, "summary_s": summary, "delays_s": found}
    console.print(write_json(options.results, "attack_to_alert", document))


class System:
    """Worker, console and shipper as processes, attacks on them, and who looks for the alerts."""

    def __init__(self, kafka: KafkaServer, elastic: ElasticServer, site: Site, scratch: Path) -> None:
        broker = Broker(kafka.bootstrap, real=True)
        self._site = site
        self._stream = Stream(broker, broker.topics("bench-attack"))
        at = (broker.bootstrap, self._stream.prefix)
        self._serving = Serving(site, *at, scratch / "worker.log")
        self._console = ConsoleProcess(site, *at, scratch / "console.log")
        self._shipping = Shipping(*at, elastic.address, site.keys, scratch / "ship.log")
        self._shipped = Shipped(elastic.address, self._stream.prefix).set_up()
        self._patients = SyntheticPatients(pseudonym_key=site.pseudonym_key, seed=7)
        self._signer = Signer(site.keyring)
        self._attacked: dict[str, float] = {}
        self._seen: dict[str, dict[str, float]] = {place: {} for place in _GOALS_S}

    @contextmanager
    def running(self, rate: float) -> Iterator[None]:
        """Run everything but the shipper, with events coming in and a viewer before the console."""
        with self._serving, SteadyLoad(self._stream, self._site, rate):
            self._serving.start().wait_until_ready()
            with self._console, repeating(self._search, _LOOK_S):
                threading.Thread(target=self._view, daemon=True).start()
                yield

    def calm(self, attacks: int) -> Delays:
        """Attack while the shipper has nothing else to do."""
        with self._shipping:
            self._told([self._attack()])  # not counted: it waits for the shipper's start
            told = self._told([self._attack() for _ in range(attacks)])
            self._shipping.stop()
        return told

    def behind(self, backlog: int, attacks: int) -> Delays:
        """Attack while predictions wait to be shipped; a new backlog is written as often as one runs out."""
        names: list[str] = []
        while len(names) < attacks:
            say(f"writing {backlog:,} predictions …")
            before, now_ms = self._shipped.count("predictions"), time.time_ns() // 1_000_000
            topic = self._stream.prefix + PREDICTIONS.name
            publish(self._stream.bootstrap, topic, predictions(backlog, now_ms, now_ms))
            with self._shipping:
                self._shipped.wait_for("predictions", before + 1, self._shipping)
                while len(names) < attacks and self._shipped.count("predictions") < before + 0.9 * backlog:
                    names.append(self._attack())
                self._told(names)
                self._shipping.stop()
            say(f"{len(names)} attacks so far")
        return self._told(names)

    def _attack(self) -> str:
        """Have events of a source come a second time, and say which source's."""
        source = f"synthetic/attacked-{len(self._attacked)}"
        now_ms = time.time_ns() // 1_000_000
        first = [rewritten(record, source=source) for record in self._patients.take(_REPEATED, now_ms)]
        signed = [
            msgspec.structs.replace(each, headers=self._signer.headers(source, each.key, each.value)) for each in first
        ]
        self._stream.produce(signed)
        time.sleep(_GAP_S / 2)
        self._attacked[source] = time.monotonic()
        self._stream.produce(signed)
        time.sleep(_GAP_S / 2)
        return source

    def _told(self, names: list[str]) -> Delays:
        """Wait for the alerts of these sources everywhere; return what each took."""
        wait_for(
            lambda: all(seen.keys() >= set(names) for seen in self._seen.values()),
            _LOST_S,
            lambda: str({place: sorted(set(names) - seen.keys()) for place, seen in self._seen.items()}),
        )
        return {place: [seen[name] - self._attacked[name] for name in names] for place, seen in self._seen.items()}

    def _view(self) -> None:
        """Read what the console tells a viewer."""
        connection = HTTPConnection("127.0.0.1", self._console.port)
        connection.request("GET", "/events")
        event = b""
        for line in connection.getresponse():
            if line.startswith(b"event: "):
                event = line[7:].strip()
            elif event == b"new" and line.startswith(b"data: "):
                self._note("console", ((shown["rule"], shown["labels"]) for shown in json.loads(line[6:])))

    def _search(self) -> None:
        """Ask Elasticsearch for the newest alerts."""
        try:
            answer = self._shipped.client.search(
                index=self._shipped.names.pattern(SECURITY_STREAM),
                size=30,
                sort={"@timestamp": "desc"},
                source_includes=["rule.id", "labels.source"],
            )
        except ApiError:  # the index is being made
            return
        found = [hit["_source"] for hit in answer["hits"]["hits"]]
        self._note("elasticsearch", ((each["rule"]["id"], each.get("labels", {})) for each in found))

    def _note(self, place: str, alerts: Iterator[tuple[str, dict[str, Any]]]) -> None:
        now = time.monotonic()
        for rule, labels in alerts:
            if rule == _RULE:
                self._seen[place].setdefault(labels["source"], now)


def _table(found: dict[str, Delays], summary: dict[str, dict[str, dict[str, float]]]) -> Table:
    rows = Table("", "seen", "attacks", "half within", "99% within", "all within", "goal for 99%", box=None)
    for phase, places in summary.items():
        for place, shares in places.items():
            within = [f"{shares[f'p{share}']:.2f} s" for share in (50, 99, 100)]
            rows.add_row(phase, place, str(len(found[phase][place])), *within, f"{_GOALS_S[place]:.0f} s")
    return rows


if __name__ == "__main__":
    main()
