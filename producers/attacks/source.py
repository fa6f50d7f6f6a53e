"""A clean source with an attack in it, labelled."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from contracts.topics import EVENTS
from producers.attacks.attack import Attack
from producers.attacks.attacker import Attacker, Score
from producers.sign import Signer
from producers.sources import Source, SourceRecord

# A flood multiplies what is asked for: so many records are in one answer at most, whatever its share.
_MAX_TAKEN = 10_000


class WithAttack:
    """Another source under attack, from its record number `after` (counted in each topic) to its end.

    `share` None is the attack's own; see `Attack` for what it is a share of. What the attack added, changed or withheld
    says so in `SourceRecord.attack`, and nothing else does; all other records are the source's own, in their order.
    Records that were malformed before are left alone. The same `seed` gives the same attack on the same stream.

    `signer` as in `Attacker`; `score` and `threshold` let attacks that learn from answers learn from a real model.

    Raises `ValueError` for a share that the attack cannot have and when it needs a signer that is missing.
    """

    def __init__(
        self,
        source: Source,
        attack: Attack,
        *,
        after: int,
        share: float | None = None,
        seed: int = 0,
        signer: Signer | None = None,
        score: Score | None = None,
        threshold: float = 0.5,
    ) -> None:
        share = attack.share if share is None else share
        adds = attack.deed == "added"
        if not 0 < share <= 1 or (adds and share == 1):
            raise ValueError(f"share: expected more than 0 and {'less than' if adds else 'at most'} 1, got {share}")
        if attack.needs_keys and signer is None:
            raise ValueError(f"attack {attack.name}: expected a stream that is signed, got one without keys")
        self._source = source
        self._attack = attack
        self._after = after
        self._share = share
        self._a_clean_one = share / (1 - share) if adds else 0.0
        """How many records are added for a clean one, on average."""
        self._attacker = Attacker(seed=f"{attack.name} {seed}", signer=signer, score=score, threshold=threshold)
        self._salt = self._attacker.rng.randbytes(16)
        self._scenario = attack.make(self._attacker)
        self._seen: Counter[str] = Counter()

    def take(self, count: int, at_ms: int) -> Sequence[SourceRecord]:
        """See `producers.sources.Source.take`; what the attack adds comes on top of `count`."""
        most = max(1, int(_MAX_TAKEN / (1 + self._a_clean_one)))
        return [made for record in self._source.take(min(count, most), at_ms) for made in self._pass(record, at_ms)]

    def _pass(self, record: SourceRecord, at_ms: int) -> Sequence[SourceRecord]:
        """Return what comes out for a record of the clean stream."""
        if record.topic not in self._attack.topics or record.expected is not None:
            return [record]
        if record.topic is EVENTS:
            self._attacker.hear(record)
        self._seen[record.topic.name] += 1
        if self._seen[record.topic.name] <= self._after:
            return [record]
        self._attacker.victim = self._attacker.victim or record.source
        if self._attack.deed == "added":
            return [record, *self._added(record, at_ms)]
        made = self._scenario(record, at_ms) if self._chosen(record) else None
        return [record if made is None else msgspec.structs.replace(made, attack=self._attack.deed)]

    def _added(self, record: SourceRecord, at_ms: int) -> list[SourceRecord]:
        whole = int(self._a_clean_one)
        count = whole + (self._attacker.rng.random() < self._a_clean_one - whole)
        made = (self._scenario(record, at_ms) for _ in range(count))
        return [msgspec.structs.replace(one, attack="added") for one in made if one is not None]

    def _chosen(self, record: SourceRecord) -> bool:
        """Whether a record is of the share, by its event id alone: an event and its outcome share their fate."""
        digest = hashlib.blake2b(record.event_id.encode(), key=self._salt, digest_size=4).digest()
        return int.from_bytes(digest) / 2**32 < self._share
