"""Faust as it ships, on aiokafka: an agent that sends one prediction for each event, at least once."""

from pathlib import Path

import faust
from faust.types import StreamT

from benchmarks.peers.job import Job, JobSettings

settings = JobSettings.from_environ()
job = Job(Path(settings.model))
app = faust.App(settings.group, broker=f"kafka://{settings.bootstrap}", datadir=settings.scratch, topic_partitions=4)
events = app.topic(settings.input, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes)
predictions = app.topic(settings.output, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes)


@app.agent(events)
async def predict(stream: StreamT[bytes]) -> None:
    async for event in stream.events():
        await predictions.send(key=event.key, value=job.one(event.value))


if __name__ == "__main__":
    app.main()
