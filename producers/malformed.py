"""Malformed records for the demo and tests, each with the reason for which a worker must send it to quarantine."""

import random
from collections.abc import Collection, Iterator, Sequence

import msgspec

from contracts.reasons import Reason
from contracts.topics import EVENTS
from producers.event_ids import EventIds
from producers.malformed_cases import CASES, Case
from producers.sign import Signer
from producers.sources import Source, SourceRecord


def malformed(
    rng: random.Random, good: SourceRecord, *, mac_required: bool = True
) -> Iterator[tuple[Case, SourceRecord]]:
    """Yield all of `cases_for(good)` in a random order, over and over, each with a record made from `good`."""
    cases = cases_for(good, mac_required=mac_required)
    while True:
        yield from ((case, spoil(case, rng, good)) for case in rng.sample(cases, len(cases)))


def cases_for(good: SourceRecord, *, mac_required: bool = True) -> list[Case]:
    """Return the cases that `good`, a patient event, can be spoiled by.

    Those that need a key only if it carries its signature in `headers`; those that are an error only where a MAC is a
    must only if `mac_required`.
    """
    return [
        case
        for case in CASES
        if (good.headers is not None or not case.needs_key) and (mac_required or not case.mac_required)
    ]


def spoil(case: Case, rng: random.Random, good: SourceRecord) -> SourceRecord:
    """Return the record of `case` made from `good`, a patient event."""
    bad = case.spoil(rng, good)
    return SourceRecord(
        topic=good.topic,
        key=bad.key,
        value=bad.value,
        source=good.source,
        headers=bad.headers,
        expected=case.reason,
    )


class WithMalformed:
    """Another source with malformed records among its events, on average the share `fraction` of all.

    They are made from the event before them and signed by `signer`; None leaves out the cases that need a key. Nothing
    of the other source is lost. `fraction` is from 0 to less than 1; cases of the reasons `without` are left out.
    """

    def __init__(
        self,
        source: Source,
        *,
        fraction: float,
        seed: int = 0,
        signer: Signer | None = None,
        mac_required: bool = True,
        without: Collection[Reason] = (),
    ) -> None:
        if not 0 <= fraction < 1:
            raise ValueError(f"fraction: expected 0 to less than 1, got {fraction}")
        self._source = source
        self._fraction = fraction
        self._flags = random.Random(seed)
        self._rng = random.Random(seed + 1)
        self._ids = EventIds([seed, 2])  # other ids than those of a source of the same seed
        self._signer = signer
        self._mac_required = mac_required
        self._without = without
        self._left: list[Case] = []
        self._good: SourceRecord | None = None

    def take(self, count: int, at_ms: int) -> Sequence[SourceRecord]:
        """See `producers.sources.Source.take`."""
        spoiled = [self._flags.random() < self._fraction for _ in range(count)]
        if self._good is None and count:
            spoiled[0] = False  # there is nothing to spoil yet
        wanted = spoiled.count(False)
        taken = self._source.take(wanted, at_ms) if wanted else []
        if wanted and not taken:
            return []
        events = iter([record for record in taken if record.topic is EVENTS])
        records: list[SourceRecord] = []
        for bad in spoiled:
            if not bad:
                event = next(events, None)
                if event is None:
                    break  # the other source gave fewer than asked for
                self._good = event
                records.append(event)
            elif self._good is not None:
                records.append(self._spoil(self._good))
        return records + [record for record in taken if record.topic is not EVENTS]

    def _spoil(self, good: SourceRecord) -> SourceRecord:
        event_id = self._ids.take(1)[0]
        value = (good.value or b"").replace(good.event_id.encode(), event_id.encode(), 1)
        headers = self._signer.headers(good.source, good.key, value) if self._signer else None
        fresh = msgspec.structs.replace(good, value=value, event_id=event_id, headers=headers)
        if not self._left:
            cases = cases_for(fresh, mac_required=self._mac_required)
            self._left = [case for case in cases if case.reason not in self._without]
            self._rng.shuffle(self._left)
        return spoil(self._left.pop(), self._rng, fresh)
