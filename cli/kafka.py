"""What commands ask of a cluster."""

import logging
from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from contracts.errors import UserError
from contracts.settings import Settings
from contracts.topics import EVENTS, OUTCOMES, TOPICS, Topic

_TIMEOUT_S = 10.0
_ANSWER_S = 15.0


def client_properties(settings: Settings) -> dict[str, Any]:
    """Return the properties of a client, its own connection log silenced: what matters comes back as an error."""
    silent = logging.getLogger("librdkafka")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    return {"bootstrap.servers": settings.bootstrap, **settings.kafka, "logger": silent}


def write(settings: Settings, topic: Topic, records: Iterable[tuple[bytes, bytes]], what: str) -> None:
    """Write records, each a key and a value, to a topic of one partition, and wait until the broker has them.

    Raises `UserError`, in which `what` is what was written, if it does not take them.
    """
    failures: list[str] = []
    producer = Producer({**client_properties(settings), "enable.idempotence": True, "acks": "all"})
    for key, value in records:
        producer.produce(
            settings.topic_prefix + topic.name,
            value,
            key,
            partition=0,
            on_delivery=lambda error, _: failures.append(error.str()) if error else None,
        )
    if producer.flush(_ANSWER_S) or failures:
        raise UserError(f"{topic.name}: expected the broker to take {what}, got: {' '.join(failures)}")


def admin(settings: Settings) -> AdminClient:
    """Return an admin client; raise `UserError` for a property that librdkafka does not know."""
    try:
        return AdminClient(client_properties(settings))
    except (KafkaException, ValueError, TypeError) as error:
        raise UserError(f"setting kafka: {_said(error)}") from None


def cluster(client: AdminClient, settings: Settings) -> ClusterMetadata:
    """Return the cluster's metadata; raise `UserError` if it does not answer within 10 s."""
    try:
        return client.list_topics(timeout=_TIMEOUT_S)
    except KafkaException:
        raise UserError(
            f"setting bootstrap: expected a Kafka broker at {settings.bootstrap}, none answered in {_TIMEOUT_S:.0f} s; "
            "say where it is by --bootstrap or CARDIOSENTRY_BOOTSTRAP, or run one to try out by `cardiosentry broker`"
        ) from None


def require_topics(settings: Settings) -> None:
    """Raise `UserError` unless the broker answers and has every topic."""
    from cli.embedded import is_embedded

    metadata = cluster(admin(settings), settings)
    if is_embedded(metadata.cluster_id):
        return
    missing = [
        settings.topic_prefix + topic.name
        for topic in TOPICS
        if settings.topic_prefix + topic.name not in metadata.topics
    ]
    events, outcomes = (metadata.topics.get(settings.topic_prefix + topic.name) for topic in (EVENTS, OUTCOMES))
    if events and outcomes and len(events.partitions) != len(outcomes.partitions):
        raise UserError(
            f"topics {EVENTS.name} and {OUTCOMES.name}: expected equally many partitions, so that an outcome meets its "
            f"event; got {len(events.partitions)} and {len(outcomes.partitions)}"
        )
    if missing:
        raise UserError(
            f"{settings.bootstrap}: expected the topics {', '.join(missing)}; run `cardiosentry topics create`"
        )


def _said(error: Exception) -> str:
    argument = error.args[0] if error.args else error
    return str(argument.str() if hasattr(argument, "str") else argument)
