"""The topics: names, keys, partitions, retention. `topics create` makes them so."""

import msgspec

_DAY_MS = 24 * 60 * 60 * 1000

MAX_RECORD_BYTES = 1024 * 1024
"""The largest record that we let a topic of ours take, key and headers included (the broker's default limit)."""


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic. `partitions` 0 means: as many as the user asks for, the same for every such topic.

    With `broker_time` a record's time is when the broker took it, whatever its writer says.
    """

    name: str
    key: str
    holds: str
    partitions: int = 0
    retention_ms: int = 7 * _DAY_MS
    broker_time: bool = False


EVENTS = Topic(name="patient-events", key="patient_id", holds="what was observed of a patient")
OUTCOMES = Topic(name="patient-outcomes", key="patient_id", holds="the diagnosis an event turned out to have")
PREDICTIONS = Topic(name="predictions", key="patient_id", holds="the champion's answer to one event")
SHADOW_PREDICTIONS = Topic(
    name="shadow-predictions", key="patient_id", holds="what models that are on trial would have answered"
)
QUARANTINE = Topic(
    name="quarantine",
    key="none",
    holds="records that could not be used, encrypted for the reviewers; reason, origin and digest in headers",
    retention_ms=30 * _DAY_MS,
)
SECURITY_ALERTS = Topic(
    name="security-alerts",
    key="source",
    holds="attacks and tampering, ECS documents",
    partitions=1,
    retention_ms=90 * _DAY_MS,
)
MODEL_ALERTS = Topic(
    name="model-alerts", key="model", holds="drift and quality, ECS documents", partitions=1, retention_ms=90 * _DAY_MS
)
RELEASES = Topic(
    name="model-releases",
    key="role",
    holds="which model may score, and what drift is measured against: signed releases, revocations and baselines, "
    "and the trust roots that follow each other",
    partitions=1,
    retention_ms=-1,
    broker_time=True,
)

SIGNALS = Topic(
    name="detection-signals",
    key='"signals"; "state" for what the one that watches remembers (MessagePack)',
    holds="what workers saw of each source, for the one of them that watches",
    partitions=1,
    retention_ms=_DAY_MS,
)

INCIDENT_ACTS = Topic(
    name="incident-acts",
    key="incident",
    holds="what people did about incidents, signed: acknowledged, assigned, noted, closed",
    partitions=1,
    retention_ms=-1,
    broker_time=True,
)

SHIP_REJECTS = Topic(
    name="ship-rejects",
    key="none",
    holds="what could not be shipped to Elasticsearch: reason, origin and digest in headers, no bytes of the record",
    partitions=1,
    retention_ms=30 * _DAY_MS,
)

TOPICS = (
    EVENTS,
    OUTCOMES,
    PREDICTIONS,
    SHADOW_PREDICTIONS,
    QUARANTINE,
    SECURITY_ALERTS,
    MODEL_ALERTS,
    RELEASES,
    SIGNALS,
    INCIDENT_ACTS,
    SHIP_REJECTS,
)

NEVER_JOINED = "cardiosentry-reader"
"""The consumer group that readers name and never join: librdkafka wants one though they choose their partitions."""

DEFAULT_PARTITIONS = 12
"""Twelve divide evenly among 1, 2, 3, 4, 6 and 12 workers."""
