"""What commands ask of a cluster."""

import logging
from collections.abc import Collection, Iterable
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from contracts.errors import UserError
from contracts.refusals import said
from contracts.settings import Settings
from contracts.topics import EVENTS, OUTCOMES, Topic
from monitoring.cluster import Listener, metadata

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
            on_delivery=lambda error, _: failures.append(said(error.name(), error.str())) if error else None,
        )
    if producer.flush(_ANSWER_S) or failures:
        raise UserError(f"{topic.name}: expected the broker to take {what}, got: {' '.join(failures)}")


def connect(settings: Settings) -> tuple[AdminClient, ClusterMetadata]:
    """Return an admin client and the cluster's metadata: the topics in it are those that this user may see.

    Raises `UserError` for a property that librdkafka does not know, when the broker refuses the connection, and if
    nobody answers within 10 s.
    """
    listener = Listener()
    properties: dict[str, Any] = {**client_properties(settings), "error_cb": listener}
    try:
        client = AdminClient(properties)
    except (KafkaException, ValueError, TypeError) as error:
        raise UserError(f"setting kafka: {_reason(error)}") from None
    return client, metadata(client, listener, properties)


def require_topics(settings: Settings, wanted: Collection[Topic]) -> None:
    """Raise `UserError` unless the broker answers, has these topics and lets this user see them."""
    from cli.embedded import is_embedded

    _, found = connect(settings)
    if is_embedded(found.cluster_id):
        return
    names = [settings.topic_prefix + topic.name for topic in wanted]
    events, outcomes = (found.topics.get(settings.topic_prefix + topic.name) for topic in (EVENTS, OUTCOMES))
    if events and outcomes and len(events.partitions) != len(outcomes.partitions):
        raise UserError(
            f"topics {EVENTS.name} and {OUTCOMES.name}: expected equally many partitions, so that an outcome meets its "
            f"event; got {len(events.partitions)} and {len(outcomes.partitions)}"
        )
    if missing := [name for name in names if name not in found.topics]:
        raise UserError(
            f"{settings.bootstrap}: expected the topics {', '.join(missing)}; they are not there (run `cardiosentry "
            "topics create`), or this user may not see them (an administrator runs `cardiosentry topics acl`)"
        )


def _reason(error: Exception) -> str:
    argument = error.args[0] if error.args else error
    return str(argument.str() if hasattr(argument, "str") else argument)
