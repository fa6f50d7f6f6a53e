"""Bytewax: Kafka in, map, Kafka out; at least once at best. Run by `python -m bytewax.run`, which looks for `flow`."""

from pathlib import Path
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]  # lives in an environment of its own
from bytewax.connectors.kafka import KafkaSinkMessage  # type: ignore[import-not-found]
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]

from benchmarks.peers.job import Job, JobSettings


def dataflow() -> Any:
    settings = JobSettings.from_environ()
    job = Job(Path(settings.model))

    def predict(event: Any) -> Any:
        return KafkaSinkMessage(event.key, job.one(event.value))

    built = Dataflow("cardiosentry")
    events = kop.input("events", built, brokers=[settings.bootstrap], topics=[settings.input])
    predictions = op.map("predict", events.oks, predict)
    kop.output(
        "predictions",
        predictions,
        brokers=[settings.bootstrap],
        topic=settings.output,
        add_config={"compression.type": "lz4"},
    )
    return built


flow = dataflow()
