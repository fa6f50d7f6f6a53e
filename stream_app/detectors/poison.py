"""Poisoned outcomes: a source whose diagnoses are no longer what they used to be for patients of the same scores.

Each source has its own usual share of outcomes 1 in each bin of the score, learned from what came before and, until
then, the model's. New outcomes are compared with it under a few ways of poisoning by Shiryaev-Roberts statistics

    R ← (R + n) · P(n outcomes | poisoned) / P(n outcomes | as usual),

which see a small change that lasts as surely as a great one. While nothing changes, R grows by one an outcome on
average, so its mean over the ways of poisoning reaches A no sooner than once in A outcomes (Pollak, Annals of
Statistics 13, 1985), however many sources there are; A is how many outcomes come between two false alarms. What is
usual is an estimate from N outcomes, so the exponent of n new ones is N / (N + n): their difference varies by so much
more.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import numpy as np

from contracts.alerts import Alert, alert
from contracts.detection import Amount, Moment, Number, Signals, SourceName
from contracts.reference import ReferenceStatistics
from contracts.releases import DAY_MS
from models.outcomes import Floats
from stream_app.detectors.rules import DETECTORS, DetectionRule
from stream_app.detectors.windows import QUIET_S, OfChampion, OfModel
from stream_app.model_slot import LoadedModel

_AT_ONCE = 20  # outcomes of a source that are compared together: fewer cost time, and tell nothing sooner
_LEARN = 500  # outcomes of a source before there is an opinion on it
_PRIOR = 1.0  # outcomes that the model's share in a bin counts for
_REMEMBERED = 50_000  # outcomes of a source that its usual shares look back on
_LEAST, _MOST = 0.005, 0.995  # a share that never was is not impossible
_SHARES = (0.1, 0.5)  # of the outcomes, that may be poisoned
_NO_RISK = -700.0  # the log of nothing, that JSON can hold
_MAX_SOURCES = 2_000
_LEARN_S = 60

Risk = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]

KINDS = ("denied", "invented", "turned")
"""Outcomes 1 become 0; outcomes 0 become 1; both."""


@dataclass(slots=True)
class Source:
    """What is known of one source; the lists are by bin, `waiting` of outcomes, then of those that are 1.

    `risks` are the logs of R, a way of poisoning each. `seen`, `usual` and `expected` are how many outcomes there were
    since R last was low, how many were 1 and how many should be by what is usual and by the model.
    """

    outcomes: list[Amount]
    positives: list[Amount]
    waiting: list[Number]
    risks: list[Risk] = field(default_factory=lambda: [_NO_RISK] * (len(KINDS) * len(_SHARES)))
    since_ms: Moment = 0
    seen: Number = 0
    ones: Number = 0
    usual: Amount = 0.0
    expected: Amount = 0.0
    told_ms: Moment | None = None
    untold: Number = 0


class PoisonState(msgspec.Struct, frozen=True):
    """What is to be remembered of a model's `sources`, the one that sent last the last, and of how fast they send."""

    sources: dict[SourceName, Source]
    since_ms: Moment
    counted: Number
    ms_an_outcome: Amount


@dataclass(slots=True)
class Sources:
    """The sources that sent outcomes of one model, those that sent last, and how fast outcomes come of them all."""

    positive: Floats
    sources: OrderedDict[str, Source] = field(default_factory=OrderedDict)
    since_ms: int = 0
    counted: int = 0
    ms_an_outcome: float = 0.0

    @property
    def state(self) -> PoisonState:
        return PoisonState(dict(self.sources), self.since_ms, self.counted, self.ms_an_outcome)

    def restore(self, state: PoisonState) -> None:
        """Go on from the state of another of the same model, but for sources of no such model's form."""
        bins = len(self.positive)
        for name, source in list(state.sources.items())[-_MAX_SOURCES:]:
            sizes = (len(source.outcomes), len(source.positives), len(source.waiting), len(source.risks))
            if sizes == (bins, bins, 2 * bins, len(KINDS) * len(_SHARES)):
                self.sources[name] = source
        self.since_ms, self.counted, self.ms_an_outcome = state.since_ms, state.counted, state.ms_an_outcome

    def of(self, name: str) -> Source:
        bins = len(self.positive)
        source = self.sources.get(name)
        if source is None:
            source = self.sources[name] = Source([0.0] * bins, [0.0] * bins, [0] * (2 * bins))
            if len(self.sources) > _MAX_SOURCES:
                self.sources.popitem(last=False)
        self.sources.move_to_end(name)
        return source

    def measure(self, outcomes: int, at_ms: int) -> None:
        """Learn how fast outcomes come."""
        self.since_ms = self.since_ms or at_ms
        took_ms = at_ms - self.since_ms
        if took_ms >= _LEARN_S * 1000:
            self.ms_an_outcome = took_ms / max(self.counted, 1)
        if took_ms >= 60 * _LEARN_S * 1000:
            self.since_ms, self.counted = at_ms, 0
        self.counted += outcomes


class PoisonWatch:
    """Watches each source's outcomes; `days` is the mean time between two false alarms of all detectors."""

    def __init__(self, rule: DetectionRule, champion: Callable[[], LoadedModel | None], days: float) -> None:
        self._rule, self._spacing_ms = rule, DETECTORS * days * DAY_MS
        self._champions: OfChampion[Sources, PoisonState] = OfChampion(champion, _sources)

    @property
    def state(self) -> OfModel[PoisonState] | None:
        return self._champions.state

    def restore(self, state: OfModel[PoisonState] | None) -> None:
        """Go on from the state of another, once the champion that it is of scores."""
        self._champions.restore(state)

    def __len__(self) -> int:
        return len(self._champions.known.sources) if self._champions.known else 0

    def see(self, signals: Signals) -> list[Alert]:
        """Take the signals of a batch; return the alerts that they come to."""
        alerts: list[Alert] = []
        for told in signals.outcomes:
            known = self._champions.of(told.digest)
            if known is None:
                continue
            bins = len(known.positive)
            sums = {name: each for name, each in told.of_bins(bins).items() if name and any(each)}
            known.measure(sum(sum(each[:bins]) for each in sums.values()), signals.at)
            for name, each in sums.items():
                found = self._take(known, name, each, told.digest, signals.at)
                if found is not None:
                    alerts.append(found)
        return alerts

    def _take(self, known: Sources, name: str, sums: list[int], digest: str, at_ms: int) -> Alert | None:
        source = known.of(name)
        source.waiting = [a + b for a, b in zip(source.waiting, sums, strict=True)]
        if sum(source.waiting[: len(known.positive)]) < _AT_ONCE or not known.ms_an_outcome:
            return None
        threshold = math.log(self._spacing_ms / known.ms_an_outcome)
        risk = _compare(source, known.positive, at_ms, threshold)
        if risk < threshold:
            return None
        kind = KINDS[int(np.argmax(source.risks)) // len(_SHARES)]
        told = source.told_ms
        source.risks = [_NO_RISK] * len(source.risks)
        if told is not None and at_ms - told < QUIET_S * 1000:
            source.untold += 1
            return None
        source.told_ms, untold, source.untold = at_ms, source.untold, 0
        return self._alert(name, source, kind, digest, at_ms, untold)

    def _alert(self, name: str, source: Source, kind: str, digest: str, at_ms: int, untold: int) -> Alert:
        labels = {
            "source": name,
            "scored_by": digest,
            "outcomes": str(source.seen),
            "positives": str(source.ones),
            "usual_positives": f"{source.usual:.1f}",
            "expected_positives": f"{source.expected:.1f}",
            "looks": kind,
            "alarms_since_last_alert": str(untold or ""),
        }
        said = f"{source.ones} of {source.seen} outcomes of {name} positive, usually {source.usual:.0f}"
        return alert(
            self._rule.rule,
            f"{self._rule.name}: {said}",
            at_ms=at_ms,
            dataset="security",
            severity=self._rule.severity,
            technique=self._rule.technique,
            labels={label: value for label, value in labels.items() if value},
            first_ms=source.since_ms,
            id=hashlib.sha256(f"{self._rule.id} {name} {source.since_ms} {at_ms}".encode()).hexdigest()[:32],
        )


def _sources(reference: ReferenceStatistics) -> Sources:
    return Sources(np.array(reference.outcomes.positive))


def _compare(source: Source, positive: Floats, at_ms: int, threshold: float) -> float:
    """Compare what waits with what is usual, then learn it; return the log of the mean R."""
    new, ones = np.array(source.waiting, np.float64).reshape(2, -1)
    source.waiting = [0] * len(source.waiting)
    learned, learned_ones = np.array(source.outcomes), np.array(source.positives)
    known = learned + _PRIOR
    usual = np.clip((learned_ones + _PRIOR * positive) / known, _LEAST, _MOST)
    risk = _NO_RISK
    if learned.sum() >= _LEARN:
        ratios = _log_ratios(new, ones, usual, known)
        before = np.logaddexp(source.risks, math.log(new.sum()))
        source.risks = (before + ratios).tolist()
        risk = float(np.logaddexp.reduce(source.risks)) - math.log(len(source.risks))
        if risk < threshold / 2:
            source.since_ms, source.seen, source.ones, source.usual, source.expected = at_ms, 0, 0, 0.0, 0.0
        source.seen += int(new.sum())
        source.ones += int(ones.sum())
        source.usual += float(new @ usual)
        source.expected += float(new @ positive)
    kept = min(1.0, _REMEMBERED / (learned.sum() + new.sum()))
    source.outcomes = ((learned + new) * kept).tolist()
    source.positives = ((learned_ones + ones) * kept).tolist()
    return risk


def _log_ratios(new: Floats, ones: Floats, usual: Floats, known: Floats) -> Floats:
    """Return the log of the likelihood ratio of `new` outcomes, of which `ones` are 1, for each way of poisoning."""
    share = np.array(_SHARES)[:, None]
    poisoned = np.concatenate([usual * (1 - share), usual + (1 - usual) * share, usual + (1 - 2 * usual) * share])
    ratio = ones * np.log(poisoned / usual) + (new - ones) * np.log((1 - poisoned) / (1 - usual))
    found: Floats = (ratio * (known / (known + new))).sum(axis=1)
    return found
