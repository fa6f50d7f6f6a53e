"""The real `cardiosentry notify` in a process of its own."""

from collections.abc import Iterable
from pathlib import Path

from confluent_kafka import Producer

from contracts.alerts import Alert
from contracts.codec import encode
from contracts.topics import MODEL_ALERTS, SECURITY_ALERTS
from tests.support.process import CommandProcess


class Notifying(CommandProcess):
    """`cardiosentry notify` of the system under `prefix`, posting twice a second; leaving the context kills it."""

    def __init__(self, bootstrap: str, prefix: str, alertmanager: str, log: Path) -> None:
        super().__init__(
            log,
            *("notify", "--bootstrap", bootstrap, "--topic-prefix", prefix, "--group", f"{prefix}group"),
            *("--alertmanager", alertmanager, "--notify-interval-s", "0.5", "--runbooks", "https://hospital.example/"),
            *("--alert-page", "https://kibana.example/?id={event_id}"),
        )


def write_alerts(bootstrap: str, prefix: str, alerts: Iterable[Alert]) -> None:
    """Write alerts to the topic of their kind, and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for each in alerts:
        topic = MODEL_ALERTS if each.event.dataset == "cardiosentry.model" else SECURITY_ALERTS
        producer.produce(prefix + topic.name, encode(each), partition=0)
    assert producer.flush(30) == 0
