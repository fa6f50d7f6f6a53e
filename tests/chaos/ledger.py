"""What was sent, what came out, and whether the two agree: every event once, in the order of its patient."""

import threading
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from contracts.reasons import Reason
from tests.chaos.releases import Made

_SAMPLES = 5


class _Model(msgspec.Struct, gc=False):
    digest: str


class Predicted(msgspec.Struct, gc=False):
    """What a prediction says of its event."""

    event_id: str
    patient_id: str
    model: _Model
    observed_at: int
    scored_at: int


class Findings(msgspec.Struct):
    """What is wrong: how many records, and a few of each kind by name."""

    lost: int = 0
    doubled: int = 0
    unexpected: int = 0
    out_of_order: int = 0
    wrong_reason: int = 0
    samples: list[str] = msgspec.field(default_factory=list)

    @property
    def none(self) -> bool:
        return not (self.lost or self.doubled or self.unexpected or self.out_of_order or self.wrong_reason)


class Arrival(NamedTuple):
    """When a prediction was read, of an event from this input partition, made at `made_s`; seconds since the epoch."""

    at_s: float
    made_s: float
    partition: int


class Ledger:
    """Filled by two threads (sender and reader), judged when both are done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._good: dict[str, tuple[int, int]] = {}  # event id: input partition and offset
        self._bad: dict[str, Reason] = {}  # partition/offset: why it must be in quarantine
        self._predictions: list[tuple[float, Predicted]] = []
        self._quarantined: list[tuple[str, str]] = []
        self._decode = msgspec.json.Decoder(Predicted).decode

    def sent(self, partition: int, offset: int, event_id: str, expected: Reason | None) -> None:
        """Note a record that the broker confirmed. `expected` set: it must come out of quarantine, for that reason."""
        with self._lock:
            if expected is None:
                self._good[event_id] = (partition, offset)
            else:
                self._bad[f"{partition}/{offset}"] = expected

    def predicted(self, at_s: float, value: bytes) -> None:
        """Note a committed prediction, read at `at_s` seconds since the epoch; a partition's in their order."""
        prediction = self._decode(value)
        with self._lock:
            self._predictions.append((at_s, prediction))

    def quarantined(self, origin: str, reason: str) -> None:
        """Note a committed record of the quarantine; `origin` is partition/offset of the input."""
        with self._lock:
            self._quarantined.append((origin, reason))

    @property
    def sent_count(self) -> int:
        return len(self._good) + len(self._bad)

    @property
    def seen_count(self) -> int:
        return len(self._predictions) + len(self._quarantined)

    @property
    def quarantined_count(self) -> int:
        return len(self._quarantined)

    def judge(self) -> Findings:
        """Compare what came out with what was sent."""
        findings = Findings()

        def found(kind: str, what: object) -> None:
            setattr(findings, kind, getattr(findings, kind) + 1)
            if getattr(findings, kind) <= _SAMPLES:
                findings.samples.append(f"{kind} {what}")

        last: dict[str, int] = {}
        times: Counter[str] = Counter()
        for _, prediction in self._predictions:
            times[prediction.event_id] += 1
            place = self._good.get(prediction.event_id)
            if place is None:
                found("unexpected", prediction.event_id)
            elif times[prediction.event_id] > 1:
                found("doubled", prediction.event_id)
            elif place[1] < last.get(prediction.patient_id, -1):
                found("out_of_order", f"{prediction.event_id} at {place}")
            else:
                last[prediction.patient_id] = place[1]
        origins: Counter[str] = Counter()
        for origin, reason in self._quarantined:
            origins[origin] += 1
            if origin not in self._bad:
                found("unexpected", f"quarantined {origin}")
            elif origins[origin] > 1:
                found("doubled", f"quarantined {origin}")
            elif reason != self._bad[origin]:
                found("wrong_reason", f"{origin}: expected {self._bad[origin].value}, got {reason}")
        for missing in (self._good.keys() - times.keys()) | (self._bad.keys() - origins.keys()):
            found("lost", missing)
        return findings

    def arrivals(self) -> list[Arrival]:
        """Return the predictions of known events in the order in which they were read."""
        return [
            Arrival(at_s, prediction.observed_at / 1000, self._good[prediction.event_id][0])
            for at_s, prediction in self._predictions
            if prediction.event_id in self._good
        ]

    def made(self) -> list[Made]:
        """Return when and by what each prediction of a known event was made, a partition's in their order."""
        return [
            Made(prediction.scored_at / 1000, prediction.model.digest, self._good[prediction.event_id][0])
            for _, prediction in self._predictions
            if prediction.event_id in self._good
        ]


def recovery_s(
    blow_s: float, arrivals: Sequence[Arrival], partitions: int, outages: Sequence[tuple[float, float]] = ()
) -> float | None:
    """Return how long after a blow every input partition's output flowed again, in seconds.

    It flows when an event made after the blow has come out. The part of that time in which the broker was away
    (`outages`, from and to) does not count. None: in some partition it never flowed again.
    """
    first: dict[int, float] = {}
    for arrival in arrivals:
        if arrival.made_s >= blow_s:
            first.setdefault(arrival.partition, arrival.at_s)
    if len(first) < partitions:
        return None
    back_s = max(first.values())
    away_s = sum(max(0.0, min(up_s, back_s) - max(down_s, blow_s)) for down_s, up_s in outages)
    return back_s - blow_s - away_s
