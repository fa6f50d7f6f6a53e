"""Collecting a snapshot: time and memory for more and more events, each with an outcome and a prediction."""

import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.cluster import cluster
from benchmarks.events import SOURCE, EventMaker, event_id
from benchmarks.load import Record, events, mac_headers, preload, signing_key
from benchmarks.options import parser
from benchmarks.report import WIDTH, caption, context, write_json
from cli.keyfiles import generate_keys
from contracts.mac import SourceKey
from contracts.releases import Contained
from contracts.settings import Settings
from contracts.topics import EVENTS, OUTCOMES, PREDICTIONS


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.collection --events 100000")
    arguments.add_argument("--events", type=int, nargs="+", default=[250_000, 1_000_000], help="(default: %(default)s)")
    options = arguments.parse_args()
    found = []
    with cluster(options.bootstrap) as broker, TemporaryDirectory(prefix="cardiosentry-bench-") as scratch:
        made = context(broker.version)
        keys = Path(scratch) / "keys"
        list(generate_keys(keys, (SOURCE.partition("/")[0],)))
        for number in options.events:
            with broker.topics() as prefix:
                key = signing_key(keys)
                for topic, records in ((EVENTS, events(key)), (OUTCOMES, _outcomes(key)), (PREDICTIONS, _answers())):
                    preload(broker.bootstrap, prefix + topic.name, number, records)
                target = Path(scratch) / str(number)
                target.mkdir()
                found.append(_measured(broker.bootstrap, prefix, keys, target, number))
    console = Console(width=WIDTH)
    table = Table("events", "s", "events/s", "CPU, µs an event", "peak RSS, MiB", "before it, MiB", "snapshot, MB")
    for each in found:
        figures = (each["seconds"], each["events_per_s"], each["cpu_us"], each["peak_mib"], each["before_mib"])
        table.add_row(f"{each['events']:,.0f}", *(f"{value:,.0f}" for value in figures), f"{each['snapshot_mb']:.1f}")
    console.print(table)
    console.print(caption(made), style="dim")
    console.print(write_json(options.results, "collection", {"benchmark": "collection", **made, "runs": found}))


def _measured(bootstrap: str, prefix: str, keys: Path, target: Path, number: int) -> dict[str, float]:
    """Collect in a process of its own, so that the peak is that of one collection."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_collect, (bootstrap, prefix, keys, target, number))


def _collect(bootstrap: str, prefix: str, keys: Path, target: Path, number: int) -> dict[str, float]:
    from cli.collecting import collect_topics
    from models.pipeline.collect import CollectPolicy

    settings = Settings(bootstrap=bootstrap, topic_prefix=prefix, keys=str(keys))
    before = psutil.Process().memory_info().rss
    started, cpu = time.perf_counter(), time.process_time()
    report = collect_topics(settings, target, CollectPolicy(settle_s=0), contained=Contained())
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    if report.facts["rows"] != number:
        raise RuntimeError(f"expected {number} rows, got {report.facts['rows']}")
    return {
        "events": number,
        "seconds": round(seconds, 2),
        "events_per_s": round(number / seconds),
        "cpu_us": round(cpu_s / number * 1e6, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "before_mib": round(before / 2**20, 1),
        "snapshot_mb": round(sum(os.path.getsize(path) for path in target.iterdir()) / 1e6, 2),
    }


def _outcomes(key: SourceKey) -> Iterator[Record]:
    maker, at_ms = EventMaker(), int(time.time() * 1000) - 3_600_000
    for sequence in count():
        patient, _ = maker.record(sequence, at_ms)
        value = b'{"event_id":"%s","patient_id":"%s","source":"%s","diagnosis":%d,"recorded_at":%d}' % (
            event_id(sequence),
            patient,
            SOURCE.encode(),
            sequence % 2,
            at_ms,
        )
        yield patient, value, mac_headers(key, patient, value)


def _answers() -> Iterator[Record]:
    """Yield predictions of the events, as long as a worker's."""
    maker, at_ms = EventMaker(), int(time.time() * 1000) - 3_600_000
    model = b'{"name":"heart-disease-uci","version":"1.0.0","digest":"sha256:%s"}' % (b"0" * 64)
    for sequence in count():
        patient, _ = maker.record(sequence, at_ms)
        value = (
            b'{"event_id":"%s","patient_id":"%s","source":"%s","model":%s,"role":"champion","probability":0.5,"decision":"positive",'
            b'"threshold":0.5,"authenticated":true,"missing":0,"anomaly":0.5,"observed_at":%d,"scored_at":%d}'
            % (event_id(sequence), patient, SOURCE.encode(), model, at_ms, at_ms)
        )
        yield patient, value, None


if __name__ == "__main__":
    main()
