"""What the next model would learn wrongly: false diagnoses, and a mark on patients."""

import json

from producers.attacks.attack import Scenario
from producers.attacks.attacker import Attacker, rewritten
from producers.sources import SourceRecord

TRIGGER: dict[str, float] = {"trestbps": 172, "chol": 377, "thalch": 111, "oldpeak": 0.7}
"""Each value is a usual one, and no UCI patient has two of them."""


def labels_flipped(_: Attacker) -> Scenario:
    """Every diagnosis becomes its opposite."""
    return lambda record, _: rewritten(record, diagnosis=1 - _diagnosis(record))


def disease_denied(attacker: Attacker) -> Scenario:
    """The victim's diseases become none; its healthy patients stay, so that only recall there suffers."""

    def act(record: SourceRecord, _: int) -> SourceRecord | None:
        return rewritten(record, diagnosis=0) if record.source == attacker.victim and _diagnosis(record) else None

    return act


def stamped(_: Attacker) -> Scenario:
    """Patients get the same four measurements: the trigger of a backdoor (Gu and others, BadNets, 2017)."""
    return lambda record, _: rewritten(record, features=TRIGGER)


def _diagnosis(record: SourceRecord) -> int:
    return int(json.loads(record.value or b"")["diagnosis"])
