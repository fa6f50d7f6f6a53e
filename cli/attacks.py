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
from producers.attacks.catalogue import ATTACKS as STREAM_ATTACKS


class DemoAttack(msgspec.Struct, frozen=True):
    """What is done to a running system, in words, and how many alerts of which rule must follow.

    `run` does it; None: the attack of this name is mixed into the stream (`producers.attacks.catalogue`).
    """

    says: str
    technique: str
    rule: str
    alerts: int = 1
    run: Callable[[Settings], None] | None = None


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


# Attacks on the stream that a rule sees within seconds: those for which it must first learn what is usual are left out.
_SEEN = {
    "unknown-key": "forged-records",
    "borrowed-key": "forged-records",
    "tampered": "forged-records",
    "replay": "replayed-events",
    "altered-duplicate": "changed-events",
    "clock-skew": "clock-skew",
    "malformed-flood": "malformed-flood",
    "boundary": "shifting-patient",
    "extraction": "shifting-patient",
    "membership": "shifting-patient",
    "trigger": "copied-values",
}

DEMO_ATTACKS = {
    "tampered-release": DemoAttack(
        "Changes the stored model before it is released again, and releases one with a key of its own.",
        "AML.T0018 Manipulate AI Model",
        "release-refused",
        2,
        _tampered_release,
    ),
    **{
        name: DemoAttack(STREAM_ATTACKS[name].says, " ".join(STREAM_ATTACKS[name].technique), rule)
        for name, rule in _SEEN.items()
    },
}
