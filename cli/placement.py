"""Where a model scores: the last predictions of every partition say so themselves."""

from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from cli.kafka import client_properties
from contracts.events import ModelRef
from contracts.settings import Settings
from contracts.topics import PREDICTIONS, SHADOW_PREDICTIONS
from monitoring.reader import TopicReader

_LOOKED_AT = 200
"""Records of each partition: one batch's, though a transaction's marker stands behind them."""


class _Scored(msgspec.Struct):
    model: ModelRef
    scored_at: int


@dataclass
class Placement:
    """The partitions whose last predictions came from a model, and the time of the newest."""

    partitions: set[int] = field(default_factory=set)
    last_ms: int = 0


def placements(settings: Settings) -> dict[str, Placement]:
    """Return where each model scored last, by its digest."""
    found: dict[str, Placement] = {}
    for topic in (PREDICTIONS, SHADOW_PREDICTIONS):
        last: dict[int, dict[str, int]] = {}
        with TopicReader(client_properties(settings), [settings.topic_prefix + topic.name], last=_LOOKED_AT) as reader:
            for message in reader.until_end():
                with suppress(msgspec.DecodeError):  # a stranger's record
                    scored = msgspec.json.decode(message.value() or b"", type=_Scored)
                    here = last.setdefault(message.partition() or 0, {})
                    if topic is PREDICTIONS:  # one champion at a time, any number of shadows
                        here.clear()
                    here[scored.model.digest] = scored.scored_at
        for partition, scored_at in last.items():
            for digest, at_ms in scored_at.items():
                place = found.setdefault(digest, Placement())
                place.partitions.add(partition)
                place.last_ms = max(place.last_ms, at_ms)
    return found
