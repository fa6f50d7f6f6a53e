"""The documents that are shipped, and how each kind of record becomes one. No I/O.

What ECS has a name for has it; what is ours stands under `cardiosentry`, named as in the contracts. Every document is
decoded into its type and written again: a field that no type names is never shipped, so a mapping made from the types
fits every document.
"""

import re
from typing import Literal

import msgspec

from contracts.alerts import Alert, Ecs
from contracts.codec import decoder, encode, explain
from contracts.errors import InvalidRecord
from contracts.events import DecodedPrediction
from contracts.identifiers import DIGEST, ORIGIN
from contracts.reasons import Reason

MODULE = "cardiosentry"


class PredictionDocument(msgspec.Struct, frozen=True, rename={"timestamp": "@timestamp"}):
    """A prediction; the time is when it was scored. The source is where an alert's is, so one filter finds both."""

    timestamp: int
    labels: dict[str, str]
    cardiosentry: DecodedPrediction


class Quarantined(msgspec.Struct, frozen=True):
    """`origin` is topic/partition/offset of the record, `digest` of the whole record."""

    reason: Reason
    origin: str
    digest: str


class QuarantineDocument(msgspec.Struct, frozen=True, rename={"timestamp": "@timestamp"}):
    """A quarantined record; the time is Kafka's."""

    timestamp: int
    cardiosentry: Quarantined


class EventBase(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["event"] = "event"
    module: str = MODULE
    dataset: str
    category: tuple[str, ...]
    type: tuple[str, ...]
    action: str
    outcome: Literal["success", "failure"]
    reason: str | None = None


class Signers(msgspec.Struct, frozen=True):
    name: tuple[str, ...]


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement is about. `fault` says why one was refused; of that no more is shipped than where it stands.

    `measure` and `subject` are of a measure against an incident; `incident`, `assignee` and `verdict` of what somebody
    did about one. `signed_at` is when its signers say that they signed it.
    """

    verified: bool
    fault: str | None = None
    digest: str | None = None
    role: str | None = None
    stage: str | None = None
    measure: str | None = None
    subject: str | None = None
    incident: str | None = None
    assignee: str | None = None
    verdict: str | None = None
    version: int | None = None
    signed_at: int | None = None
    expires_at: int | None = None
    origin: str


class AuditDocument(msgspec.Struct, frozen=True, kw_only=True, rename={"timestamp": "@timestamp"}):
    """A statement of model-releases or an act of incident-acts; the time is Kafka's."""

    timestamp: int
    ecs: Ecs = Ecs()
    event: EventBase
    user: Signers | None = None
    message: str
    cardiosentry: Audited


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a run: what was `found` against the policy's `limit`; "run" as the step is the run's verdict."""

    run: str
    step: str
    check: str
    verdict: str
    found: str
    limit: str
    advice: str
    reference: str
    findings: int


class GateDocument(msgspec.Struct, frozen=True, kw_only=True, rename={"timestamp": "@timestamp"}):
    """One check; the time is when its step was done."""

    timestamp: str
    ecs: Ecs = Ecs()
    event: EventBase
    message: str
    cardiosentry: Gate


_decode_prediction = decoder(DecodedPrediction)
_decode_alert = decoder(Alert)


def prediction(value: bytes) -> bytes:
    """Return the document of a record of predictions or shadow-predictions; raises `InvalidRecord`."""
    try:
        made = _decode_prediction(value)
    except (ValueError, RecursionError) as error:  # msgspec's errors and broken UTF-8 are ValueErrors
        raise explain(error) from None
    labels = encode({"source": made.source})
    return b'{"@timestamp":%d,"labels":%b,"cardiosentry":%b}' % (made.scored_at, labels, encode(made))


def alert(value: bytes) -> bytes:
    """Return the document of an alert; raises `InvalidRecord`."""
    try:
        return encode(_decode_alert(value))
    except (ValueError, RecursionError) as error:
        raise explain(error) from None


def quarantined(headers: dict[str, bytes], at_ms: int) -> bytes:
    """Return the document of a quarantined record by its headers; raises `InvalidRecord`."""
    reason = _text(headers, "cs-reason", _REASONS)
    origin, digest = _text(headers, "cs-origin", ORIGIN), _text(headers, "cs-digest", DIGEST)
    return encode(QuarantineDocument(at_ms, Quarantined(Reason(reason), origin, digest)))


_REASONS = "|".join(Reason)


def _text(headers: dict[str, bytes], name: str, pattern: str) -> str:
    text = headers.get(name, b"").decode("utf-8", "replace")
    if len(text) > 400 or not re.fullmatch(pattern, text):
        raise InvalidRecord(Reason.SCHEMA, f"expected the header {name} in its form")
    return text
