"""What an attack is: who is told what about it, and the function that carries it out."""

from collections.abc import Callable

import msgspec

from contracts.topics import EVENTS, Topic
from producers.attacks.attacker import Attacker
from producers.sources import Deed, SourceRecord

Scenario = Callable[[SourceRecord, int], SourceRecord | None]
"""Given a record of the clean stream and the time (epoch milliseconds), return the attack's record; None: leave it.

For an attack that adds records the one given has just been sent; for one that changes or withholds, it is replaced.
"""


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """One attack.

    `says` is one sentence for a person, `technique` an id and name of MITRE ATLAS 5.6. `topics` are those whose records
    it works on. `share` is its default: of all events once it has begun for an attack that adds (less than 1), of the
    records that it could have taken for one that changes or withholds (at most 1). `needs_keys`: only where records
    are signed. `make` readies it for one run.
    """

    name: str
    says: str
    technique: tuple[str, str]
    deed: Deed
    share: float
    make: Callable[[Attacker], Scenario]
    topics: tuple[Topic, ...] = (EVENTS,)
    needs_keys: bool = False
