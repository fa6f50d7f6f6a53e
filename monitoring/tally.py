"""Accounts for every event that was sent: each must come back once, as a prediction or in quarantine."""

from collections import Counter, deque
from typing import NamedTuple

import msgspec

from contracts.alerts import Alert
from contracts.codec import decoder
from contracts.events import DecodedPrediction
from contracts.topics import EVENTS

_BINS = 10
_LATENCIES = 10_000  # of the last so many predictions


class Shown(NamedTuple):
    """A record of the lists that a person sees: no features, no names."""

    text: str
    detail: str


class Told(msgspec.Struct, frozen=True):
    """The alerts of one rule: how many, and how long after the attack began the first was read.

    `delay_events` counts the events that were sent meanwhile; both delays are None where nothing had begun.
    """

    rule: str
    technique: str | None
    count: int
    delay_events: int | None
    delay_s: float | None


class Summary(msgspec.Struct, frozen=True):
    """The outcome of a run, as the last line of `demo --json`. Latencies are from observation to reading, in ms."""

    events_sent: int
    predictions: int
    quarantined: dict[str, int]
    alerts: list[Told]
    latency_ms: dict[str, float | None]
    model_digest: str | None
    unaccounted: int
    doubled: int


class Tally:
    """Counts what was sent and what came back. Feed it from one thread; order does not matter.

    An event is known by its event id, a malformed one by where it stood (topic/partition/offset).
    """

    def __init__(self) -> None:
        self._prediction = decoder(DecodedPrediction)
        self._alert = decoder(Alert)
        self._sent: set[str] = set()
        self._back: Counter[str] = Counter()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self.predictions = 0
        self.quarantined: Counter[str] = Counter()
        self.alerts: dict[str, Told] = {}
        self._began: tuple[int, float] | None = None
        self.bins = [0] * _BINS
        self.model_digest: str | None = None
        self.last_predictions: deque[DecodedPrediction] = deque(maxlen=8)
        self.last_quarantined: deque[Shown] = deque(maxlen=8)

    def sent(self, event_id: str, partition: int, offset: int) -> None:
        """Note that the broker has an event; one with an empty `event_id` must come back from quarantine."""
        self._sent.add(event_id or f"{EVENTS.name}/{partition}/{offset}")

    def predicted(self, value: bytes, now_ms: float) -> None:
        """Note a prediction that was read at `now_ms` (epoch milliseconds)."""
        prediction = self._prediction(value)
        self._back[prediction.event_id] += 1
        self._latencies.append(now_ms - prediction.observed_at)
        self.predictions += 1
        self.model_digest = prediction.model.digest
        if prediction.probability is not None:
            self.bins[min(_BINS - 1, int(prediction.probability * _BINS))] += 1
        self.last_predictions.append(prediction)

    def quarantine(self, origin: str, reason: str, detail: str) -> None:
        """Note a quarantined record by where it stood in the events' topic."""
        self._back[origin] += 1
        self.quarantined[reason] += 1
        self.last_quarantined.append(Shown(reason, detail))

    def attack_began(self, now_s: float) -> None:
        """Note that an attack begins now (seconds of any clock that goes on steadily)."""
        self._began = self._began or (self.events_sent, now_s)

    def alerted(self, value: bytes, now_s: float) -> None:
        """Note an alert that was read at `now_s`, by the clock of `attack_began`; what ended is none."""
        alert = self._alert(value)
        if alert.is_end:
            return
        first = self.alerts.get(alert.rule.id)
        if first is None:
            since = (
                (self.events_sent - self._began[0], round(now_s - self._began[1], 3)) if self._began else (None, None)
            )
            technique = alert.threat.technique.id[0] if alert.threat else None
            first = Told(alert.rule.id, technique, 0, *since)
        self.alerts[alert.rule.id] = msgspec.structs.replace(first, count=first.count + 1)

    @property
    def events_sent(self) -> int:
        return len(self._sent)

    def unaccounted(self) -> int:
        """Return how many sent events have not come back."""
        return len(self._sent - self._back.keys())

    def latency_ms(self, share: float) -> float | None:
        """Return the latency that `share` (0 to 1) of the last predictions were below; None before the first."""
        if not self._latencies:
            return None
        ordered = sorted(self._latencies)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    def summary(self) -> Summary:
        """Return the outcome so far. Events of others count among predictions, and never as doubled or missing."""
        return Summary(
            events_sent=self.events_sent,
            predictions=self.predictions,
            quarantined=dict(sorted(self.quarantined.items())),
            alerts=[self.alerts[rule] for rule in sorted(self.alerts)],
            latency_ms={"p50": self.latency_ms(0.5), "p99": self.latency_ms(0.99)},
            model_digest=self.model_digest,
            unaccounted=self.unaccounted(),
            doubled=sum(self._back[event] > 1 for event in self._sent),
        )
