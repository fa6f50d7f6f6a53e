"""Streams under attack, and how to read them, for the tests of the attacks."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from contracts.codec import decoder
from contracts.events import Outcome
from contracts.features import Matrix, to_row
from contracts.heart_disease import HEART_DISEASE
from contracts.topics import EVENTS, OUTCOMES
from producers.attacks.catalogue import ATTACKS
from producers.attacks.source import WithAttack
from producers.sign import Signer
from producers.sources import SourceRecord
from tests.producers.support import AT_MS, KEYRING, synthetic

AFTER = 300
EVENTS_TAKEN = 2000
Records = list[SourceRecord]
decode_outcome = decoder(Outcome)

every_attack = pytest.mark.parametrize("name", ATTACKS)


@cache
def clean() -> Records:
    return list(synthetic(outcome_delay_s=1.0).take(EVENTS_TAKEN, AT_MS))


def under(name: str, *, seed: int = 1, **options: Any) -> WithAttack:
    return WithAttack(
        synthetic(outcome_delay_s=1.0), ATTACKS[name], after=AFTER, seed=seed, signer=Signer(KEYRING), **options
    )


@cache
def taken(name: str, counts: tuple[int, ...] = (EVENTS_TAKEN,), **options: Any) -> Records:
    """Return all records of an attacked stream; a flood answers with fewer than asked for, so ask again."""
    source = under(name, **options)
    records: Records = []
    for count in counts:
        left = count
        while left:
            part = source.take(left, AT_MS)
            left -= sum(record.topic is EVENTS and record.attack != "added" for record in part)
            records += part
    return records


def of_topics(records: Records) -> dict[str, Records]:
    return {topic.name: [record for record in records if record.topic is topic] for topic in (EVENTS, OUTCOMES)}


def attacked(name: str, **options: Any) -> Records:
    return [record for record in taken(name, **options) if record.attack]


def body(record: SourceRecord) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.value or b"")
    return found


def features(records: Records) -> Matrix:
    return np.array([to_row(HEART_DISEASE, body(record)["features"]) for record in records], dtype=np.float32)
