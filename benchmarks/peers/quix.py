"""Quix Streams, exactly once: a StreamingDataFrame with one function applied to each event."""

from pathlib import Path

from quixstreams import Application  # type: ignore[import-not-found]  # lives in an environment of its own

from benchmarks.peers.job import Job, JobSettings


def main() -> None:
    settings = JobSettings.from_environ()
    job = Job(Path(settings.model))
    app = Application(
        broker_address=settings.bootstrap,
        consumer_group=settings.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        producer_extra_config={"compression.type": "lz4"},
        state_dir=settings.scratch,
        loglevel="WARNING",
    )
    events = app.topic(settings.input, key_deserializer="bytes", value_deserializer="bytes")
    predictions = app.topic(settings.output, key_serializer="bytes", value_serializer="bytes")
    app.dataframe(events).apply(job.one).to_topic(predictions)
    app.run()


if __name__ == "__main__":
    main()
