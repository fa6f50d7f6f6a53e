"""What the tests of the worker's core share: batches of records, a pipeline over the session's model, fakes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from queue import SimpleQueue
from typing import Any, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from contracts.errors import RetryableError
from contracts.events import DecodedPrediction, Outcome, event_type
from contracts.heart_disease import HEART_DISEASE
from contracts.mac import Headers
from contracts.releases import Release, Role
from contracts.topics import EVENTS, OUTCOMES
from models.scorer import Scorer
from models.sealing import PrivateKey
from models.verify import VerifiedBundle
from producers.sign import Signer
from producers.sources import SourceRecord
from stream_app.batch import UNKNOWN_START, Batch, Span
from stream_app.decode import Decoder
from stream_app.detectors.known import History, Known
from stream_app.detectors.outcomes import Outcomes
from stream_app.model_slot import LoadedModel, Models, ModelSlot
from stream_app.output import Member, Offsets, Record
from stream_app.pipeline import EventPipeline, OutcomePipeline
from stream_app.quarantine import Quarantined, Sealer, unframe, unseal
from stream_app.score import ScoreStage
from stream_app.shadows import Shadows
from tests.models.signers import FILES
from tests.producers.support import AT_MS, KEYRING, synthetic

NOW_MS = AT_MS + 1000
SIGNER = Signer(KEYRING)
_PRIVATE = X25519PrivateKey.generate()
REVIEWERS = PrivateKey(_PRIVATE)
SEALER = Sealer(_PRIVATE.public_key())
CHECKS: dict[str, Any] = {"keyring": KEYRING, "max_future_ms": 300_000}


@dataclass(frozen=True)
class Wire:
    """A record as a consumer gets it."""

    key: bytes | None
    value: bytes | None
    headers: Headers = None


@cache
def good_event(seed: int = 1) -> SourceRecord:
    """Return a patient event that carries its signature, as a case that needs a key wants it."""
    record = synthetic(seed).take(1, AT_MS)[0]
    return msgspec.structs.replace(record, headers=SIGNER.headers(record.source, record.key, record.value))


def wire(record: SourceRecord, *, sign: bool = True) -> Wire:
    """Return the record as published: signed by its source's key unless it brings headers of its own."""
    headers = record.headers
    if headers is None and sign:
        headers = SIGNER.headers(record.source, record.key, record.value)
    return Wire(record.key, record.value, cast("Headers", headers))


def edited(record: SourceRecord, **changes: Any) -> SourceRecord:
    """Return the event with fields changed (`features` are merged), its key after its patient id, to be signed anew."""
    event = json.loads(record.value or b"")
    changes = {**changes, "features": {**event["features"], **changes.get("features", {})}}
    value = json.dumps({**event, **changes}).encode()
    return msgspec.structs.replace(
        record, key=str({**event, **changes}["patient_id"]).encode(), value=value, headers=None
    )


def batch_of(
    records: Sequence[Wire],
    *,
    topic: str = EVENTS.name,
    partition: int = 0,
    first_offset: int = 100,
    start: int = UNKNOWN_START,
) -> Batch:
    """Return a batch of the records at consecutive offsets of one partition."""
    return Batch(
        topic=topic,
        spans=[Span(partition, 0, start, range(first_offset, first_offset + len(records)))],
        keys=[record.key for record in records],
        values=[record.value for record in records],
        headers=[record.headers for record in records],
    )


def loaded(
    bundle: VerifiedBundle, *, require_mac: bool = True, version: int = 1, role: Role = "champion"
) -> LoadedModel:
    """Return a model as a worker has it loaded."""
    release = Release(
        role=role,
        version=version,
        digest=bundle.digest,
        files=FILES,
        created_at=AT_MS,
        expires_at=AT_MS + 86_400_000,
        reason="a test",
    )
    decoder = Decoder(event_type(bundle.manifest.feature_table), "observed_at", require_mac=require_mac, **CHECKS)
    return LoadedModel(release, bundle, decoder, ScoreStage(Scorer(bundle), role))


def event_pipeline(bundle: VerifiedBundle, *, require_mac: bool) -> EventPipeline:
    """Return a pipeline as a worker has it, but for its own keys."""
    return pipeline_of(Models(loaded(bundle, require_mac=require_mac)))


def pipeline_of(
    models: Models,
    *,
    share: float = 1.0,
    clock_s: Callable[[], float] = lambda: 0.0,
    history: History = lambda *_: (),
) -> EventPipeline:
    """Return a pipeline over these models; a partition had nothing before unless `history` says so."""
    slot = ModelSlot()
    slot.put(models)
    return EventPipeline(slot, Shadows(share, clock_s, SimpleQueue()), SEALER, Known(history), clock_s)


def outcome_pipeline(
    *, require_mac: bool = True, known: Known | None = None, history: History = lambda *_: ()
) -> OutcomePipeline:
    """Return a pipeline whose outcomes meet the predictions that `known` knows: none, unless it is given."""
    decoder = Decoder(Outcome, "recorded_at", require_mac=require_mac, **CHECKS)
    return OutcomePipeline(
        decoder, SEALER, Outcomes((known or Known(history)).predicted, decoder, history), lambda: 0.0
    )


def predictions(outputs: Sequence[tuple[bytes | None, bytes]]) -> list[DecodedPrediction]:
    """Decode predictions as a reader does."""
    return [msgspec.json.decode(output[1], type=DecodedPrediction) for output in outputs]


@dataclass(frozen=True)
class Opened:
    """A quarantined record as a reviewer sees it, with the key that sealed it left out: it differs each time."""

    reason: str
    detail: str
    origin: str
    digest: str
    size: int
    key: bytes
    value: bytes


def opened(quarantined: Quarantined) -> Opened:
    headers = dict(quarantined.headers)
    key, value = unframe(unseal(REVIEWERS, quarantined.value, headers))
    text = {name: value.decode("ascii") for name, value in headers.items() if name != "cs-wrapped-key"}
    return Opened(
        text["cs-reason"],
        text["cs-detail"],
        text["cs-origin"],
        text["cs-digest"],
        int(text["cs-size"]),
        key,
        value,
    )


@dataclass
class Written:
    """One record that went out."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class FakeOutput:
    """The contract of `stream_app.output.Output` in memory: outputs and offsets commit together or not at all.

    `failures` holds the names of calls that fail once, with `RetryableError` and no other effect. `current` is the
    member whose commits are taken; None takes any.
    """

    committed: list[Written] = field(default_factory=list)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    pending: list[Written] = field(default_factory=list)
    pending_offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    current: Member | None = None
    broken: bool = False  # a call failed: nothing but abort may follow
    closed: bool = False

    def write(self, topic: str, records: Sequence[Record]) -> None:
        self._call("write")
        self.pending += [Written(topic, key, value) for key, value in records]

    def write_quarantined(self, topic: str, records: Sequence[Quarantined]) -> None:
        self._call("write_quarantined")
        self.pending += [Written(topic, None, record.value, tuple(record.headers)) for record in records]

    def send_offsets(self, offsets: Offsets, member: Member) -> None:
        self._call("send_offsets")
        if self.current is not None and member is not self.current:
            self.broken = True
            raise RetryableError("offsets: expected a member of this generation")
        self.pending_offsets |= offsets

    def commit(self) -> None:
        self._call("commit")
        self.committed += self.pending
        self.offsets |= self.pending_offsets
        self.pending, self.pending_offsets = [], {}

    def abort(self) -> None:
        assert not self.closed
        self.calls.append("abort")
        self.pending, self.pending_offsets = [], {}
        self.broken = False

    def close(self) -> None:
        self.calls.append("close")
        self.pending = []
        self.closed = True

    def _call(self, name: str) -> None:
        assert not self.closed, f"{name} after close"
        assert not self.broken, f"{name} after a failure, expected abort"
        self.calls.append(name)
        if name in self.failures:
            self.failures.remove(name)
            self.broken = True
            raise RetryableError(f"{name} failed")


def member() -> Member:
    """Return a member that is nobody else: only its identity counts."""
    return Member(object(), lambda _: None)


TABLE = HEART_DISEASE
TOPICS = (EVENTS.name, OUTCOMES.name)
