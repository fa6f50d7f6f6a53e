"""Outcomes meet their predictions, once each.

An outcome whose prediction is not remembered is counted and left to the batch job, which has all of them. One that
comes again for the same event, with this diagnosis or another, does not count again: each partition remembers its last
outcomes as patient-events' partitions remember their events (known.py), and reads them again when it is new here.
Invented event ids take no room in that memory: only what met its prediction is remembered.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter

from contracts.detection import MAX_SOURCES
from contracts.detection import Outcomes as OutcomesTold
from contracts.events import Outcome
from stream_app.batch import Batch
from stream_app.decode import Decoded, Decoder
from stream_app.detectors.known import History
from stream_app.detectors.memories import IDS, IdMemory
from stream_app.detectors.predicted import Answer, Predicted

_EVENT_ID, _SOURCE, _DIAGNOSIS = attrgetter("event_id"), attrgetter("source"), attrgetter("diagnosis")


@dataclass(slots=True)
class Matched:
    """Of a batch: sums by model and source, and how many outcomes met their prediction, again, or none by source."""

    told: list[OutcomesTold] = field(default_factory=list)
    unmatched: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


class Outcomes:
    """Knows which outcomes of a partition met their predictions. `predicted` knows the predictions."""

    def __init__(self, predicted: Predicted, decoder: Decoder[Outcome], history: History) -> None:
        self._predicted, self._decoder, self._history = predicted, decoder, history
        self._partitions: dict[int, IdMemory] = {}

    def __call__(self, batch: Batch, decoded: Decoded[Outcome], now_ms: int) -> Matched:
        """Return what the outcomes of a batch come to."""
        if not decoded.records:
            return Matched()
        ids = list(map(hash, map(_EVENT_ID, decoded.records)))
        sources = list(map(_SOURCE, decoded.records))
        diagnoses = list(map(_DIAGNOSIS, decoded.records))
        matched = Matched()
        met: Counter[tuple[str, Answer, int]] = Counter()
        unmatched: Counter[str] = Counter()
        for span in batch.spans:
            first = bisect_left(decoded.rows, span.first_row)
            end = bisect_left(decoded.rows, span.first_row + len(span.offsets))
            answers = self._predicted.of(span.partition, ids[first:end])
            positions = [first + at for at, answer in enumerate(answers) if answer is not None]
            if len(positions) < len(answers):
                unmatched.update(sources[first + at] for at, answer in enumerate(answers) if answer is None)
            if not positions:
                continue
            memory = self._partitions.get(span.partition) or self._restore(
                batch.topic, span.partition, span.offsets[0], now_ms
            )
            again = memory.add([ids[at] for at in positions], [diagnoses[at] for at in positions])
            new = [at for number, at in enumerate(positions) if number not in again] if again else positions
            matched.counts["repeated"] += len(again)
            matched.counts["matched"] += len(new)
            given = [answers[at - first] for at in new]
            met.update(zip([sources[at] for at in new], given, [diagnoses[at] for at in new], strict=True))  # type: ignore[arg-type]  # no None
        matched.counts["unmatched"] = unmatched.total()
        matched.unmatched = _bounded(unmatched)
        matched.told = _sums(met)
        return matched

    def committed(self) -> None:
        for partition in self._partitions.values():
            partition.committed()

    def aborted(self) -> None:
        for partition in self._partitions.values():
            partition.aborted()

    def reassigned(self) -> None:
        """Forget everything: what partitions had meanwhile is not known here."""
        self._partitions.clear()

    def _restore(self, topic: str, partition: int, before: int, now_ms: int) -> IdMemory:
        """Learn which outcomes came before an offset; raises `RetryableError`, and then knows nothing of them."""
        made = IdMemory()
        for batch in self._history(topic, partition, before, 2 * IDS):
            records = self._decoder(batch, now_ms).records
            made.add(list(map(hash, map(_EVENT_ID, records))), list(map(_DIAGNOSIS, records)))
            made.committed()
        self._partitions[partition] = made
        return made


def _sums(met: Counter[tuple[str, Answer, int]]) -> list[OutcomesTold]:
    found: dict[str, dict[str, list[int]]] = {}
    for (source, answer, diagnosis), count in met.items():
        sources = found.setdefault(answer.digest, {})
        name = source if source in sources or len(sources) < MAX_SOURCES else ""
        totals = sources.setdefault(name, [0] * (2 * answer.bins))
        totals[answer.bin] += count
        totals[answer.bins + answer.bin] += count * diagnosis
    return [OutcomesTold(digest, sources) for digest, sources in found.items()]


def _bounded(counts: Counter[str]) -> dict[str, int]:
    """Return the counts of the largest sources, the others as one."""
    if len(counts) <= MAX_SOURCES:
        return dict(counts)
    largest = dict(counts.most_common(MAX_SOURCES))
    return {**largest, "": counts.total() - sum(largest.values())}
