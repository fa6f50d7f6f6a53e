"""Attacks that the demo carries out on itself, each with what must come of it."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from confluent_kafka import Producer
from cryptography.hazmat.primitives.asymmetric import ec

from cli.kafka import client_properties
from cli.releasing import announce, now_ms, read_releases, signing_key
from contracts.settings import Settings
from contracts.topics import RELEASES
from models.bundle import MODEL_FILE
from models.keyfile import KeyFile
from models.release import sign_rollback


class Attack(msgspec.Struct, frozen=True):
    """What is done to a running system, in words and in deed, and how many alerts of which rule must follow."""

    says: str
    run: Callable[[Settings], None]
    rule: str
    alerts: int


def _tampered_release(settings: Settings) -> None:
    """Change the model in the store and have it released again, then release it with a key that nobody knows."""
    log = read_releases(settings)
    (live, *_) = log.candidates("champion", now_ms=now_ms())
    (model,) = (file for file in live.files if file.name == MODEL_FILE)
    place = Path(settings.store) / model.sha256[:2] / model.sha256
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    os.chmod(place, 0o644)
    place.write_bytes(content)
    genuine = sign_rollback(
        live, log, signing_key(settings, None), reason="a colleague who knows of nothing", now_ms=now_ms(), days=30
    )
    stranger = KeyFile(ec.generate_private_key(ec.SECP256R1()))
    forged = sign_rollback(live, log, stranger, reason="trust me", now_ms=now_ms(), days=30)
    announce(settings, log, genuine)
    producer = Producer(client_properties(settings))
    producer.produce(settings.topic_prefix + RELEASES.name, forged, b"champion", partition=0)
    producer.flush(10)


ATTACKS = {
    "tampered-release": Attack(
        "an attacker changes the stored model before it is released again, and releases one with a key of his own",
        _tampered_release,
        "release-refused",
        2,
    )
}
