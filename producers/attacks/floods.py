"""More than there should be: of one source, of one patient, of what cannot be read."""

from msgspec.structs import replace

from producers.attacks.attack import Scenario
from producers.attacks.attacker import Attacker
from producers.malformed import cases_for, spoil
from producers.malformed_cases import Case
from producers.sources import SourceRecord


def of_source(attacker: Attacker) -> Scenario:
    """Good events of the victim, each of a patient of its own."""
    return lambda seen, at_ms: attacker.event_like(seen, at_ms, source=attacker.victim)


def of_patient(attacker: Attacker) -> Scenario:
    """Good events of the victim, all of one patient, so all in one partition."""
    patient = attacker.pseudonym()
    return lambda seen, at_ms: attacker.event_like(seen, at_ms, source=attacker.victim, patient_id=patient)


def of_malformed(attacker: Attacker) -> Scenario:
    """Records that cannot be used, of every kind that `producers.malformed_cases` knows, in the victim's name."""
    left: list[Case] = []

    def act(seen: SourceRecord, at_ms: int) -> SourceRecord:
        good = attacker.event_like(seen, at_ms, source=attacker.victim)
        if attacker.signer is not None:
            good = replace(good, headers=attacker.signer.headers(good.source, good.key, good.value))
        if not left:
            # Without a MAC is an attack of its own, and no error everywhere.
            left.extend(cases_for(good, mac_required=False))
            attacker.rng.shuffle(left)
        return spoil(left.pop(), attacker.rng, good)

    return act
