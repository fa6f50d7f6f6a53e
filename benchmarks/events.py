"""Synthetic patient events of the wire's form, cheap enough to be made while something is being measured."""

import base64
import random

from contracts.codec import encode
from contracts.features import Feature
from contracts.heart_disease import HEART_DISEASE

SOURCE = "synthetic/bench/monitor-1"

_MISSING = 0.05
_SCATTER = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: neighbours land far apart (Knuth, TAOCP 3, 6.4)


class EventMaker:
    """Makes events by number, the same for the same seed: 20,000 patients, 5,000 different sets of features."""

    def __init__(self, seed: int = 1, *, patients: int = 20_000, rows: int = 5_000) -> None:
        draw = random.Random(seed)
        self._patients = [_patient_id(draw) for _ in range(patients)]
        self._rows = [encode({f.name: _value(f, draw) for f in HEART_DISEASE.features}) for _ in range(rows)]

    def record(self, sequence: int, observed_at: int) -> tuple[bytes, bytes]:
        """Return key and value of event number `sequence`, observed at `observed_at` (epoch ms)."""
        mixed = sequence * _SCATTER & 0xFFFFFFFFFFFFFFFF
        patient = self._patients[mixed % len(self._patients)]
        return patient, (
            b'{"event_id":"%s","patient_id":"%s","source":"%s","observed_at":%d,"features":%s}'
            % (event_id(sequence), patient, SOURCE.encode(), observed_at, self._rows[mixed % len(self._rows)])
        )


def event_id(sequence: int) -> bytes:
    """Return the id of event number `sequence`: a UUID (RFC 9562, version 8) that looks random but for its end.

    >>> event_id(5)
    b'1715609f-7c74-86c6-8000-000000000005'
    """
    mixed = sequence * _SCATTER & 0xFFFFFFFFFFFFFFFF
    digits = b"%016x" % mixed
    return b"%s-%s-8%s-8000-%012x" % (digits[:8], digits[8:12], digits[12:15], sequence)


def sequence_of(event_id: bytes) -> int:
    """Return the number that `event_id` was made from.

    >>> sequence_of(event_id(5))
    5
    """
    return int(event_id[-12:], 16)


def _patient_id(draw: random.Random) -> bytes:
    return b"pp1_" + base64.b32encode(draw.randbytes(16)).rstrip(b"=").lower()


def _value(feature: Feature, draw: random.Random) -> float | None:
    if draw.random() < _MISSING:
        return None
    if feature.codes:
        return int(draw.choice(list(feature.codes)))
    low, high = feature.usual
    return round(draw.uniform(low, high), 1) if feature.name == "oldpeak" else draw.randint(int(low), int(high))
