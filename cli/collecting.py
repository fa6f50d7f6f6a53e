"""Collecting from Kafka: what a worker would accept of the inputs, what it answered, and what alerts say of it."""

import os
import time
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from confluent_kafka import Message

from cli.kafka import client_properties
from contracts.alerts import Alert
from contracts.errors import UserError
from contracts.events import Event, Outcome, event_type
from contracts.features import FeatureTable
from contracts.heart_disease import HEART_DISEASE
from contracts.mac import Keyring
from contracts.releases import Contained
from contracts.settings import Settings
from contracts.topics import EVENTS, MODEL_ALERTS, OUTCOMES, PREDICTIONS, QUARANTINE, SECURITY_ALERTS, Topic
from models.pipeline import groups, sealed
from models.pipeline.check import Report
from models.pipeline.collect import Collector, CollectPolicy, Scored
from models.pipeline.groups import Groups
from models.pipeline.snapshot import Places
from models.pipeline.touched import Touched
from models.sealing import load_public_key
from monitoring.reader import TopicReader, headers
from stream_app.batch import Batch
from stream_app.configuration import read_keyring
from stream_app.decode import Decoded, Decoder
from stream_app.matrix import to_matrix
from stream_app.messages import OFFSET, PARTITION, to_batch
from stream_app.quarantine import ORIGIN_HEADER

_AT_ONCE = 20_000
_READ_AHEAD = {"queued.max.messages.kbytes": 16_384}  # what librdkafka holds; its default is four times as much
_MOST_QUARANTINED = 20_000_000
"""More are not kept: 8 bytes each, 160 MB."""


def collect_topics(
    settings: Settings,
    directory: Path,
    policy: CollectPolicy,
    *,
    contained: Contained,
    since_ms: int | None = None,
    until_ms: int | None = None,
    places: Places | None = None,
    now_ms: int | None = None,
    table: FeatureTable = HEART_DISEASE,
) -> Report:
    """Collect a snapshot into `directory`, an existing one, sealed for the pipeline's key in the key directory.

    What is `contained` is left out, also what workers scored before it was. `since_ms` and `until_ms` bound the records
    of both inputs by their times in Kafka (epoch milliseconds; None: all that is there), `places` names them by offset
    instead, as a snapshot's manifest does. `now_ms` is now, by default.
    Raises `UserError` for a key, a topic or a broker that is not there, and for places that are deleted.
    """
    keys = Path(settings.keys)
    public = load_public_key(keys / sealed.PUBLIC_KEY_FILE, "pipeline's")
    keyring = read_keyring(keys, required=True)
    source = _Source(settings, keyring, contained, now_ms or time.time_ns() // 1_000_000, table)
    found = places or source.places(since_ms, until_ms)
    touched = source.touched(policy)
    records = sum(end - start for partitions in found.values() for start, end in partitions.values())
    collector = Collector(directory, table, records, Groups(os.urandom(groups.KEY_BYTES)))
    try:
        quarantined = source.quarantined()
        source.read_events(collector, found, quarantined)
        source.read_outcomes(collector, found, quarantined)
        source.read_scored(collector, since_ms)
        return collector.finish(directory, public, policy, touched, now_ms=source.now_ms, places=found)
    finally:
        collector.close()


class Quarantined:
    """Where the records are that workers put into quarantine."""

    def __init__(self) -> None:
        self._offsets: dict[tuple[str, int], array[int]] = {}
        self._count = 0

    def add(self, origin: str) -> None:
        """Take an origin, topic/partition/offset; what is none is no record of an input."""
        topic, _, rest = origin.partition("/")
        partition, _, offset = rest.partition("/")
        if not (partition.isdecimal() and offset.isdecimal()):
            return
        self._count += 1
        if self._count > _MOST_QUARANTINED:
            raise UserError(
                f"topic {QUARANTINE.name}: expected at most {_MOST_QUARANTINED} records, got more; shorten its "
                "retention"
            )
        self._offsets.setdefault((topic, int(partition)), array("q")).append(int(offset))

    def among(self, topic: str, messages: Sequence[Message]) -> list[bool]:
        """Return for each record whether it is in quarantine."""
        found = np.zeros(len(messages), dtype=np.bool_)
        partitions = np.fromiter(map(PARTITION, messages), np.int64, len(messages))
        offsets = np.fromiter(map(OFFSET, messages), np.int64, len(messages))
        for partition in np.unique(partitions).tolist():
            if (topic, partition) in self._offsets:
                of = partitions == partition
                found[of] = np.isin(offsets[of], np.frombuffer(self._offsets[topic, partition], np.int64))
        flags: list[bool] = found.tolist()
        return flags


class _Source:
    """The topics of one system, read at `now_ms`."""

    def __init__(
        self, settings: Settings, keyring: Keyring, contained: Contained, now_ms: int, table: FeatureTable
    ) -> None:
        # Records that are deleted while they are read must not be passed over in silence.
        self._properties = {**_READ_AHEAD, **client_properties(settings), "auto.offset.reset": "error"}
        self._prefix = settings.topic_prefix
        self.now_ms, self._features = now_ms, len(table.names)
        latest_ms = settings.max_future_s * 1000
        self._events: Decoder[Event] = Decoder(
            event_type(table),
            "observed_at",
            keyring,
            require_mac=True,
            max_future_ms=latest_ms,
            contained=lambda: contained,
        )
        self._outcomes = Decoder(
            Outcome,
            "recorded_at",
            keyring,
            require_mac=True,
            max_future_ms=latest_ms,
            contained=lambda: contained,
        )

    def places(self, since_ms: int | None, until_ms: int | None) -> Places:
        """Return where the inputs' records of these times are, by topic without prefix."""
        found: Places = {}
        for topic in (EVENTS, OUTCOMES):
            with self._reader(topic) as reader:
                for (_, partition), bounds in reader.places(since_ms, until_ms).items():
                    found.setdefault(topic.name, {})[partition] = bounds
        return found

    def touched(self, policy: CollectPolicy) -> Touched:
        """Return what alerts touch. Alerts of models touch nothing, but may say that others were not written."""
        return Touched(self._alerts(), before_s=policy.before_s, after_s=policy.after_s, untouching=policy.untouching)

    def _alerts(self) -> Iterator[Alert]:
        decode = msgspec.json.Decoder(Alert).decode
        for topic in (SECURITY_ALERTS, MODEL_ALERTS):
            with self._reader(topic) as reader:
                for message in reader.until_end():
                    try:
                        yield decode(message.value() or b"")
                    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                        where = f"{topic.name}/{message.partition()}/{message.offset()}"
                        raise UserError(f"record {where}: expected an alert, got something else") from None

    def quarantined(self) -> Quarantined:
        """Return where the quarantined records are."""
        found = Quarantined()
        with self._reader(QUARANTINE) as reader:
            for message in reader.until_end():
                found.add(headers(message).get(ORIGIN_HEADER, b"").decode("utf-8", "replace"))
        return found

    def read_events(self, collector: Collector, places: Places, quarantined: Quarantined) -> None:
        for batch, messages in self._batches(EVENTS, places):
            decoded = self._events(batch, self.now_ms)
            _account(collector, EVENTS, batch, decoded)
            collector.add_events(
                decoded.records,
                to_matrix(decoded.records, self._features),
                [hash(batch.values[row]) for row in decoded.rows],
                quarantined.among(batch.topic, [messages[row] for row in decoded.rows]),
            )

    def read_outcomes(self, collector: Collector, places: Places, quarantined: Quarantined) -> None:
        for batch, messages in self._batches(OUTCOMES, places):
            decoded = self._outcomes(batch, self.now_ms)
            _account(collector, OUTCOMES, batch, decoded)
            taken = [messages[row] for row in decoded.rows]
            collector.add_outcomes(
                decoded.records,
                [message.timestamp()[1] for message in taken],
                quarantined.among(batch.topic, taken),
            )

    def read_scored(self, collector: Collector, since_ms: int | None) -> None:
        """Read the predictions from a time on, to their end now: an event may be scored long after it was sent."""
        decode = msgspec.json.Decoder(Scored).decode
        with self._reader(PREDICTIONS) as reader:
            for messages in _pieces(reader.between(reader.places(since_ms))):
                try:
                    collector.add_scored([decode(message.value() or b"") for message in messages])
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    raise UserError(f"topic {PREDICTIONS.name}: expected predictions, got something else") from None

    def _batches(self, topic: Topic, places: Places) -> Iterator[tuple[Batch, list[Message]]]:
        name = self._prefix + topic.name
        wanted = {(name, partition): bounds for partition, bounds in places.get(topic.name, {}).items()}
        with self._reader(topic) as reader:
            for messages in _pieces(reader.between(wanted)):
                yield to_batch(name, messages, {}), messages

    def _reader(self, topic: Topic) -> TopicReader:
        return TopicReader(self._properties, [self._prefix + topic.name], beginning=True)


def _account(collector: Collector, topic: Topic, batch: Batch, decoded: Decoded[Event] | Decoded[Outcome]) -> None:
    collector.read(topic.name, len(batch))
    collector.refuse(topic.name, [error.reason.value for error in decoded.rejected.values()])


def _pieces(messages: Iterator[Message]) -> Iterator[list[Message]]:
    while piece := list(islice(messages, _AT_ONCE)):
        yield piece
