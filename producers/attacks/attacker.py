"""The attacker: a black-box one, with what he invents, overhears and can look up, and without the model's file."""

import base64
import json
import random
from collections.abc import Callable
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.codec import encode
from contracts.features import Matrix
from producers.attacks.public_rows import PublicRows, Row
from producers.event_ids import EventIds
from producers.sign import Signer
from producers.sources import SourceRecord

Score = Callable[[Matrix], npt.NDArray[np.floating[Any]]]
"""The model's answers: rows (n, features) float32, NaN where missing, to probabilities of disease (n,)."""

# Ten minutes at the rate of a ward's devices; what is older is worth little to an attacker and costs memory here.
_HEARD = 1000


class Attacker:
    """What the scenarios share; everything random comes from `seed`.

    `victim` is the source that those attacks work on, or through, that have one: whose record came first once the
    attack had begun.

    `signer` signs with the keys of the stream's own sources; None: the stream is unsigned. `score` answers in place of
    the predictions that an attacker would read, for exactly the rows that he sends unless a scenario says otherwise,
    and `threshold` is the probability from which on these are positive. Without `score` he takes a proxy: a linear
    model that he fits to the public rows.
    """

    def __init__(
        self, *, seed: str, signer: Signer | None = None, score: Score | None = None, threshold: float = 0.5
    ) -> None:
        self.rng = random.Random(seed)
        self.signer = signer
        self.victim = ""
        self.heard: list[SourceRecord] = []
        self._ids = EventIds(self.rng.getrandbits(64))
        self._score = score
        self._threshold = threshold

    @cached_property
    def rows(self) -> PublicRows:
        """The public data on patients like these."""
        return PublicRows()

    def hear(self, record: SourceRecord) -> None:
        """Overhear a patient event of the clean stream; of many he keeps a thousand, the later the likelier."""
        if len(self.heard) < _HEARD:
            self.heard.append(record)
        else:
            self.heard[self.rng.randrange(_HEARD)] = record

    def positive(self, rows: Row) -> npt.NDArray[np.bool_]:
        """Return for `rows`, shape (n, features), whether the model calls them positive, as far as he can know."""
        if self._score is None:
            return self.rows.proxy(rows) >= 0.5
        return np.asarray(self._score(rows.astype(np.float32)) >= self._threshold)

    def event_id(self) -> str:
        """Return an event id that nobody has used."""
        return self._ids.take(1)[0]

    def pseudonym(self) -> str:
        """Return an invented pseudonym: of the right form, of nobody."""
        return "pp1_" + base64.b32encode(self.rng.randbytes(16)).rstrip(b"=").decode().lower()

    def event_like(self, seen: SourceRecord, at_ms: int, **fields: object) -> SourceRecord:
        """Return an event of his own: as `seen`, but of another patient and now, with `fields` replaced."""
        return rewritten(
            seen, **{"event_id": self.event_id(), "patient_id": self.pseudonym(), "observed_at": at_ms, **fields}
        )


def rewritten(record: SourceRecord, **fields: object) -> SourceRecord:
    """Return a record with fields of its value replaced, `features` merged; its key follows, its source signs it."""
    body = json.loads(record.value or b"")
    features = fields.pop("features", None)
    if isinstance(features, dict):
        body["features"].update(features)
    body.update(fields)
    return msgspec.structs.replace(
        record,
        key=body["patient_id"].encode(),
        value=encode(body),
        source=body["source"],
        event_id=body["event_id"],
        headers=None,
    )
