"""The ways to be malformed: a table of cases, each with the reason for which a worker must quarantine it.

Every case starts from a good event and spoils one thing, so the first check that fails is the one meant.
"""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

from contracts.mac import KEY_ID_HEADER, MAC_BYTES, MAC_HEADER
from contracts.reasons import Reason
from contracts.topics import MAX_RECORD_BYTES
from producers.sources import Headers, SourceRecord


class Malformed(msgspec.Struct, frozen=True):
    """A spoiled record. `headers` None: signed as usual, by the key of the good event's source, over what is here."""

    key: bytes | None
    value: bytes | None
    headers: Headers | None = None


Spoil = Callable[[random.Random, SourceRecord], Malformed]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One way to be malformed. `needs_key`: of a signed event. `mac_required`: wrong only where a MAC is a must."""

    name: str
    reason: Reason
    spoil: Spoil
    needs_key: bool = False
    mac_required: bool = False


def _value(change: Callable[[random.Random, bytes], bytes | None]) -> Spoil:
    return lambda rng, good: Malformed(good.key, change(rng, _bytes(good)))


def _edit(change: Callable[[random.Random, dict[str, Any]], object]) -> Spoil:
    """Spoil the decoded object; the record's key follows its patient id."""

    def spoil(rng: random.Random, good: SourceRecord) -> Malformed:
        event = json.loads(_bytes(good))
        change(rng, event)
        return Malformed(str(event.get("patient_id", "")).encode() or good.key, _json(event))

    return spoil


def _feature(text: str) -> Spoil:
    """Write `text` in the place of a feature's value, JSON or not."""

    def change(rng: random.Random, value: bytes) -> bytes:
        event = json.loads(value)
        event["features"][rng.choice(list(event["features"]))] = "@here@"
        return _json(event).replace(b'"@here@"', text.encode())

    return _value(change)


def _set(name: str, value: object) -> Spoil:
    return _edit(lambda _, event: event.update({name: value}))


def _set_feature(name: str, value: object) -> Spoil:
    return _edit(lambda _, event: event["features"].update({name: value}))


def _other_key(rng: random.Random, good: SourceRecord) -> Malformed:
    return Malformed(b"pp1_" + base64.b32encode(rng.randbytes(16)).rstrip(b"=").lower(), good.value)


def _largest(_: random.Random, good: SourceRecord) -> Malformed:
    room = MAX_RECORD_BYTES - len(_bytes(good)) - len(good.key or b"") - 1024  # the rest is for headers and framing
    return Malformed(good.key, _json({**json.loads(_bytes(good)), "note": "x" * room}))


def _bytes(good: SourceRecord) -> bytes:
    if good.value is None:
        raise ValueError("good event: expected a value, got null")
    return good.value


def _json(event: object) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def _tampered(_: random.Random, good: SourceRecord) -> Malformed:
    event = json.loads(_bytes(good))
    return Malformed(good.key, _json({**event, "observed_at": event["observed_at"] - 1}), good.headers)


def _cut_mac(_: random.Random, good: SourceRecord) -> Malformed:
    headers = [(name, value[:4] if name == MAC_HEADER and value else value) for name, value in good.headers or ()]
    return Malformed(good.key, good.value, headers)


def _with_headers(headers: Callable[[random.Random], Headers]) -> Spoil:
    return lambda rng, good: Malformed(good.key, good.value, headers(rng))


_DEEP = 10_000  # levels, beyond the stack of any parser that recurses
_TEN_YEARS_MS = 10 * 365 * 24 * 60 * 60 * 1000

CASES = (
    Case(name="null value", reason=Reason.EMPTY, spoil=_value(lambda _, __: None)),
    Case(name="no bytes", reason=Reason.EMPTY, spoil=_value(lambda _, __: b"")),
    Case(
        name="invalid UTF-8",
        reason=Reason.NOT_UTF8,
        spoil=_value(lambda _, value: value.replace(b'"source":"', b'"source":"\xff\xfe', 1)),
    ),
    Case(
        name="binary", reason=Reason.NOT_JSON, spoil=_value(lambda rng, _: b"\x00" + rng.randbytes(100).hex().encode())
    ),
    Case(name="text", reason=Reason.NOT_JSON, spoil=_value(lambda _, __: b"MSH|^~\\&|LAB|HOSPITAL|||||ORU^R01")),
    Case(
        name="truncated",
        reason=Reason.NOT_JSON,
        spoil=_value(lambda rng, value: value[: rng.randrange(1, len(value) - 1)]),
    ),
    Case(name="two objects", reason=Reason.NOT_JSON, spoil=_value(lambda _, value: value + value)),
    Case(name="NaN", reason=Reason.NOT_JSON, spoil=_feature("NaN")),
    Case(name="infinity", reason=Reason.NOT_JSON, spoil=_feature("-Infinity")),
    Case(name="number too large for a double", reason=Reason.SCHEMA, spoil=_feature("1e999")),
    Case(name="text for a number", reason=Reason.SCHEMA, spoil=_feature('"63"')),
    Case(name="boolean for a number", reason=Reason.SCHEMA, spoil=_feature("true")),
    Case(name="deep nesting for a number", reason=Reason.SCHEMA, spoil=_feature("[" * _DEEP + "]" * _DEEP)),
    Case(name="deep nesting", reason=Reason.SCHEMA, spoil=_value(lambda _, __: b"[" * _DEEP + b"]" * _DEEP)),
    Case(name="array", reason=Reason.SCHEMA, spoil=_value(lambda _, value: b"[" + value + b"]")),
    Case(name="unknown field", reason=Reason.SCHEMA, spoil=_set("name", "Jane Doe")),
    Case(name="unknown feature", reason=Reason.SCHEMA, spoil=_set_feature("bmi", 31)),
    Case(
        name="missing field",
        reason=Reason.SCHEMA,
        spoil=_edit(
            lambda rng, event: event.pop(rng.choice(["event_id", "patient_id", "source", "observed_at", "features"]))
        ),
    ),
    Case(
        name="missing feature",
        reason=Reason.SCHEMA,
        spoil=_edit(lambda rng, event: event["features"].pop(rng.choice(list(event["features"])))),
    ),
    Case(name="bad event id", reason=Reason.IDENTIFIER, spoil=_set("event_id", "17")),
    Case(name="bad source", reason=Reason.IDENTIFIER, spoil=_set("source", "St Mary's, Ward 3")),
    Case(
        name="raw record number",
        reason=Reason.PSEUDONYM,
        spoil=_edit(lambda rng, event: event.update(patient_id=f"MRN-{rng.randrange(10**7):07}")),
    ),
    Case(name="key of another patient", reason=Reason.KEY_MISMATCH, spoil=_other_key),
    Case(name="no key", reason=Reason.KEY_MISMATCH, spoil=lambda _, good: Malformed(None, good.value)),
    Case(
        name="no MAC",
        reason=Reason.MAC_MISSING,
        spoil=_with_headers(lambda _: []),
        mac_required=True,
    ),
    Case(
        name="unknown key id",
        reason=Reason.MAC_KEY_UNKNOWN,
        spoil=_with_headers(lambda rng: [(KEY_ID_HEADER, b"nobody"), (MAC_HEADER, rng.randbytes(MAC_BYTES))]),
    ),
    Case(name="changed after signing", reason=Reason.MAC_WRONG, spoil=_tampered, needs_key=True),
    Case(name="MAC cut short", reason=Reason.MAC_WRONG, spoil=_cut_mac, needs_key=True),
    Case(
        name="another source's name",
        reason=Reason.SOURCE_NOT_BOUND,
        spoil=_set("source", "nobody/anywhere"),
        needs_key=True,
    ),
    Case(
        name="far future",
        reason=Reason.FUTURE,
        spoil=_edit(lambda _, event: event.update(observed_at=event["observed_at"] + _TEN_YEARS_MS)),
    ),
    Case(name="time beyond 64 bits", reason=Reason.FUTURE, spoil=_set("observed_at", 10**40)),
    Case(name="outside the hard range", reason=Reason.OUT_OF_RANGE, spoil=_set_feature("trestbps", 5000)),
    Case(name="beyond float32", reason=Reason.OUT_OF_RANGE, spoil=_set_feature("chol", -1e300)),
    Case(name="not a code", reason=Reason.OUT_OF_RANGE, spoil=_set_feature("thal", 5)),
)
"""Every case small enough for any stream."""

LARGEST = Case(name="largest record", reason=Reason.SCHEMA, spoil=_largest)
"""As large as a topic takes; apart from the others because a few of them fill an embedded broker."""
