"""The JSON Schema of each topic's record, built from the types that decode it. `docs/schemas/` holds them written out.

A schema says what it can say: that a record's key is its patient id, that its MAC holds and that its time has come are
not in it. JSON Schema 2020-12, https://json-schema.org/draft/2020-12.
"""

from typing import Any

import msgspec

from contracts.alerts import Alert
from contracts.detection import Signals
from contracts.events import IDENTIFIER_PATTERNS, DecodedPrediction, Outcome, event_type
from contracts.features import Feature, FeatureTable
from contracts.identifiers import DIGEST, ORIGIN
from contracts.incidents import ACT_TYPE
from contracts.reasons import SHIP_REASONS, Reason
from contracts.releases import BASELINE_TYPE, CONTAINMENT_TYPE, RELEASE_TYPE, REVOCATION_TYPE, ROOT_TYPE, STEP_TYPE
from contracts.topics import (
    EVENTS,
    INCIDENT_ACTS,
    MODEL_ALERTS,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINE,
    RELEASES,
    SECURITY_ALERTS,
    SHADOW_PREDICTIONS,
    SHIP_REJECTS,
    SIGNALS,
    Topic,
)

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DESCRIPTIONS = {
    "event_id": "A lower-case UUID that the producer gives the event; an outcome and a prediction carry their event's.",
    "patient_id": "The patient's keyed pseudonym, never a name or a record number. Also the record's key.",
    "source": "Who sends: site/ward/device, one to four parts. The key that signs the record must be bound to it.",
    "observed_at": "When it was observed, UTC, epoch milliseconds, a number without a fraction.",
    "recorded_at": "When the diagnosis was recorded, UTC, epoch milliseconds.",
    "scored_at": "When it was scored, UTC, epoch milliseconds.",
    "diagnosis": "1: narrowing of a coronary artery over 50%; 0: none.",
    "model": "The model that answered; the digest names its exact bytes.",
    "role": "The model's role.",
    "probability": "Probability of disease, higher is worse; null when the decision is insufficient_data.",
    "decision": "positive from the threshold on; insufficient_data when too many features are missing to judge.",
    "threshold": "The model's threshold, so that a reader can see how near the decision was.",
    "authenticated": "Whether the event carried a MAC that holds, by a key bound to its source.",
    "missing": "How many features were missing and imputed.",
    "anomaly": "Share of the model's reference patients who are less unusual; null where nobody can say.",
}

_HEADERS_OF_SOURCES = (
    "Headers cs-key-id and cs-mac authenticate the record: the MAC is BLAKE2b (RFC 7693) of 16 bytes, keyed with the "
    "secret of the key id, over the length of the record's key in 4 bytes (big-endian), the key and the value."
)


def schemas(table: FeatureTable) -> dict[str, Schema]:
    """Return the schema of each topic's record by the topic's name, patient events under `table`."""
    event = _schema(EVENTS, event_type(table), f"{EVENTS.holds}. {_HEADERS_OF_SOURCES}")
    event["properties"]["features"] = _features(table)
    outcome = _schema(OUTCOMES, Outcome, f"{OUTCOMES.holds}. {_HEADERS_OF_SOURCES}")
    alerts = [_schema(topic, Alert, topic.holds) for topic in (SECURITY_ALERTS, MODEL_ALERTS)]
    predictions = map(_prediction, (PREDICTIONS, SHADOW_PREDICTIONS))
    signals = _schema(SIGNALS, Signals, SIGNALS.holds)
    made = [event, outcome, *predictions, *alerts, _quarantine(), *_statements(), signals, _rejects()]
    return {schema["title"]: schema for schema in made}


def _schema(topic: Topic, record_type: type, text: str) -> Schema:
    """Return the schema of a record, its top level written out and its identifiers and times narrowed."""
    (reference,), definitions = msgspec.json.schema_components([record_type], ref_template="#/$defs/{name}")
    own: Schema = definitions.pop(reference["$ref"].rpartition("/")[2])
    definitions.pop("Features", None)
    for name, field in own["properties"].items():
        if name in IDENTIFIER_PATTERNS:
            field["pattern"] = f"^(?:{IDENTIFIER_PATTERNS[name]})$"
        if name in ("observed_at", "recorded_at", "scored_at", "missing"):
            field["minimum"] = 0
        if name == "@timestamp":
            field["format"] = "date-time"
        if name in _DESCRIPTIONS:
            field["description"] = _DESCRIPTIONS[name]
    head: Schema = {
        "$schema": DIALECT,
        "title": topic.name,
        "description": f"{text[0].upper()}{text[1:].removesuffix('.')}. The record's key: {topic.key}.",
    }
    own = {name: value for name, value in own.items() if name not in ("title", "description")}
    return head | own | ({"$defs": definitions} if definitions else {})


def _prediction(topic: Topic) -> Schema:
    schema = _schema(topic, DecodedPrediction, topic.holds)
    for name in ("probability", "anomaly"):
        schema["properties"][name] |= {"minimum": 0, "maximum": 1}
    schema["if"] = {"properties": {"decision": {"const": "insufficient_data"}}}
    schema["then"] = {"properties": {"probability": {"type": "null"}, "anomaly": {"type": "null"}}}
    schema["else"] = {"properties": {"probability": {"type": "number"}}}
    return schema


def _features(table: FeatureTable) -> Schema:
    return {
        "type": "object",
        "description": f"The features of {table.name}, version {table.version}: all of them, null where missing. With "
        f"more than {table.max_missing} missing the decision is insufficient_data.",
        "properties": {feature.name: _feature(feature) for feature in table.features},
        "required": list(table.names),
        "additionalProperties": False,
    }


def _feature(feature: Feature) -> Schema:
    if feature.codes:
        meaning = ", ".join(code if code == text else f"{code} {text}" for code, text in feature.codes.items())
        return {
            "description": f"{feature.title}: {meaning}.",
            "enum": [*map(int, feature.codes), None],
        }
    low, high = map(_number, feature.hard)
    usual = " to ".join(str(_number(bound)) for bound in feature.usual)
    return {
        "description": f"{feature.title}, {feature.unit}. Usually {usual}.",
        "type": ["number", "null"],
        "minimum": low,
        "maximum": high,
    }


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _quarantine() -> Schema:
    """The value is sealed, so what can be described of a record is its headers, by name, each as text."""
    headers = _origin_headers([reason.value for reason in Reason], "of the whole record, however much of it was kept")
    headers["cs-wrapped-key"] = {
        "description": "Bytes: the batch's key, wrapped for the reviewers' public key (RFC 9180)."
    }
    return _headers_alone(
        QUARANTINE,
        "A record that could not be used. Its value is sealed for the reviewers: `cardiosentry "
        "quarantine show` opens it with their private key. This describes its headers, taken as an object.",
        headers,
    )


def _rejects() -> Schema:
    """What could not be shipped has no value either."""
    return _headers_alone(
        SHIP_REJECTS,
        "A record that could not be shipped to Elasticsearch. It has no value: the record stands at its origin. This "
        "describes its headers, taken as an object.",
        _origin_headers(list(SHIP_REASONS), "of the whole record"),
    )


def _origin_headers(reasons: list[str], of: str) -> dict[str, Schema]:
    text = {"type": "string"}
    return {
        "cs-reason": {"enum": reasons, "description": "The first check that it failed."},
        "cs-detail": text | {"description": "What was expected, in words that repeat nothing of the record."},
        "cs-origin": text | {"pattern": ORIGIN, "description": "topic/partition/offset."},
        "cs-digest": text | {"pattern": DIGEST, "description": f"SHA-256, {of}."},
        "cs-size": text | {"pattern": "^[0-9]+$", "description": f"Bytes, {of}."},
    }


def _headers_alone(topic: Topic, text: str, headers: dict[str, Schema]) -> Schema:
    return {
        "$schema": DIALECT,
        "title": topic.name,
        "description": text,
        "type": "object",
        "properties": headers,
        "required": list(headers),
        "additionalProperties": False,
    }


def _statements() -> list[Schema]:
    """The envelopes; contracts/releases.py and contracts/incidents.py have what is in them."""
    statements = [RELEASE_TYPE, REVOCATION_TYPE, BASELINE_TYPE, CONTAINMENT_TYPE, STEP_TYPE, ROOT_TYPE]
    return [_envelope(RELEASES, statements), _envelope(INCIDENT_ACTS, [ACT_TYPE])]


def _envelope(topic: Topic, payload_types: list[str]) -> Schema:
    base64 = {"type": "string", "contentEncoding": "base64"}
    return {
        "$schema": DIALECT,
        "title": topic.name,
        "description": f"{topic.holds[0].upper()}{topic.holds[1:]}. A signed envelope, DSSE version 1; its "
        f"payload is a statement, JSON. The record's key: {topic.key}.",
        "type": "object",
        "properties": {
            "payload": base64 | {"description": "The statement, as it was signed."},
            "payloadType": {"enum": payload_types},
            "signatures": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "sig": base64 | {"description": "ECDSA on P-256 over SHA-256, in DER."},
                        "keyid": {"type": "string", "description": "SHA-256 of the public key's DER form."},
                    },
                    "required": ["sig", "keyid"],
                },
            },
        },
        "required": ["payload", "payloadType", "signatures"],
    }
