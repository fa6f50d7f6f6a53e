"""Events that were sent before: to the byte, and with other values under the same id."""

import json

from contracts.heart_disease import HEART_DISEASE
from producers.attacks.attack import Scenario
from producers.attacks.attacker import Attacker, rewritten
from producers.sources import SourceRecord


def replayed(attacker: Attacker) -> Scenario:
    """Events overheard earlier, as they were: id, time, key and MAC are the same."""
    return lambda _, __: attacker.rng.choice(attacker.heard)


def altered(attacker: Attacker) -> Scenario:
    """Events under the id, patient and source of ones overheard earlier, with other values, and a valid MAC."""
    pressure = next(feature for feature in HEART_DISEASE.features if feature.name == "trestbps")
    low, high = map(int, pressure.usual)

    def act(_: SourceRecord, __: int) -> SourceRecord:
        first = attacker.rng.choice(attacker.heard)
        before = json.loads(first.value or b"")["features"][pressure.name]
        other = attacker.rng.choice([value for value in range(low, high + 1) if value != before])
        return rewritten(first, features={pressure.name: other})

    return act
