"""Asks a cluster what it has, and says why it does not answer."""

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from contracts.errors import UserError
from contracts.refusals import explain, protocol

_TIMEOUT_S = 10.0
_TRY_S = 1.0  # one try; between two it is heard why there was no answer
_HEAR_S = 0.1


class Listener:
    """Hears why a client cannot connect (its error_cb); what has no explanation may pass and is waited out."""

    def __init__(self) -> None:
        self.heard = ""

    def __call__(self, error: KafkaError) -> None:
        self.heard = explain(error.name(), error.str()) or self.heard


def metadata(
    client: AdminClient | Consumer, listener: Listener, properties: Mapping[str, object], topic: str | None = None
) -> ClusterMetadata:
    """Return what `client`, made of these librdkafka properties with the listener, may see: one topic, or all.

    Raises `UserError` when the broker refuses the connection, and if nobody answers within 10 s.
    """
    address = properties.get("bootstrap.servers")
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return client.list_topics(topic, timeout=_TRY_S) if topic else client.list_topics(timeout=_TRY_S)
        except KafkaException:
            client.poll(_HEAR_S)
        if listener.heard:
            raise UserError(f"Kafka at {address}: {listener.heard}")
        if time.monotonic() > deadline:
            raise UserError(
                f"setting bootstrap: expected a Kafka broker at {address}, none answered in {_TIMEOUT_S:.0f} s to "
                f"{protocol(properties)}; say where it is by --bootstrap or CARDIOSENTRY_BOOTSTRAP, or run one to try "
                "out by `cardiosentry broker`"
            )
