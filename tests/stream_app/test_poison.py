"""A source whose diagnoses turn is told, however slowly; calm ones are not, and none costs more than it may."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.alerts import Alert
from contracts.detection import Outcomes, Signals
from contracts.topics import OUTCOMES, SECURITY_ALERTS, SIGNALS
from models.verify import VerifiedBundle
from producers.attacks.catalogue import ATTACKS
from producers.attacks.source import WithAttack
from stream_app.detectors.poison import _MAX_SOURCES, PoisonState, PoisonWatch, Source, _compare
from stream_app.detectors.rules import load_rules
from stream_app.detectors.watch import Watch
from stream_app.detectors.windows import OfModel
from stream_app.model_slot import LoadedModel, Models
from stream_app.watching import SignalPipeline
from tests.contracts.test_alerts import assert_ecs
from tests.producers.support import AT_MS, synthetic
from tests.stream_app.support import SIGNER, Wire, batch_of, loaded, outcome_pipeline, pipeline_of, wire

AFTER = 12_000
RATE = 100


@pytest.fixture(scope="module")
def champion(verified: VerifiedBundle) -> LoadedModel:
    return loaded(verified)


def signals(champion: LoadedModel, attack: str, events: int) -> Iterator[bytes]:
    """Yield what a worker tells of a stream whose outcomes follow after a second, attacked from `AFTER` on."""
    source = WithAttack(
        synthetic(8, patients=10_000, outcome_delay_s=1), ATTACKS[attack], after=AFTER, seed=1, signer=SIGNER
    )
    scoring = pipeline_of(Models(champion))
    learning = outcome_pipeline(known=scoring.known)
    at_ms = AT_MS
    for _ in range(0, events, RATE):
        records = source.take(RATE, at_ms)
        at_ms += 1000
        for pipeline, topic in ((scoring, "patient-events"), (learning, OUTCOMES.name)):
            wires = [wire(record) for record in records if record.topic.name == topic]
            result = pipeline(batch_of(wires, topic=topic), at_ms)
            yield from (value for _, value in result.outputs.get(SIGNALS.name, []))
        scoring.known.committed()
        learning.outcomes.committed()


@pytest.mark.parametrize("attack", ["label-poisoning", "label-poisoning-slow"])
def test_poisoned_labels_are_told_to_the_end_of_the_pipelines(champion: LoadedModel, attack: str) -> None:
    values = list(signals(champion, attack, AFTER + 8_000))
    clean = [value for value in values if msgspec.json.decode(value, type=Signals).at <= AT_MS + 10 * AFTER]
    pipeline = SignalPipeline(lambda: Watch(load_rules(), lambda: champion, 30), lambda *_: (), lambda: 0.0)

    def watched(part: list[bytes]) -> Any:
        return pipeline(batch_of([Wire(b"signals", value) for value in part], topic=SIGNALS.name), AT_MS)

    assert watched(clean).alerts == {}
    result = watched(values[len(clean) :])
    assert "poisoned-outcomes" in result.alerts
    alerts = [msgspec.json.decode(value, type=Alert) for _, value in result.outputs[SECURITY_ALERTS.name]]
    (first, *others) = [alert for alert in alerts if alert.rule.id == "poisoned-outcomes"]
    assert_ecs(msgspec.json.decode(msgspec.json.encode(first)))
    assert first.threat is not None
    assert first.threat.technique.id == ("AML.T0020",)
    if attack == "label-poisoning-slow":
        assert others == []  # one source, told once in ten minutes
        assert first.labels["looks"] == "denied"
        assert int(first.labels["positives"]) < float(first.labels["usual_positives"])


BINS = 4
USUAL = np.array([0.1, 0.4, 0.7, 0.95])


def told(champion: LoadedModel, rng: np.random.Generator, count: int, shares: np.ndarray) -> list[int]:
    reference = champion.bundle.manifest.reference_statistics
    assert reference is not None
    seen = rng.multinomial(count, np.full(len(shares), 1 / len(shares)))
    return [*seen.tolist(), *rng.binomial(seen, shares).tolist()]


def stream(champion: LoadedModel, seconds: int, shares: dict[str, np.ndarray], start_s: int = 0) -> Iterator[Signals]:
    """Yield signals of one a second with 20 outcomes of each source at these shares."""
    rng = np.random.default_rng([seconds, start_s])
    for second in range(start_s, start_s + seconds):
        sources = {name: told(champion, rng, 20, each) for name, each in shares.items()}
        yield Signals(AT_MS + 1000 * second, {}, outcomes=[Outcomes(champion.bundle.digest, sources)])


def model_shares(champion: LoadedModel) -> np.ndarray:
    reference = champion.bundle.manifest.reference_statistics
    assert reference is not None
    return np.array(reference.outcomes.positive)


def watch(champion: LoadedModel) -> PoisonWatch:
    return PoisonWatch(load_rules().poison, lambda: champion, 30)


def test_a_source_that_always_was_otherwise_is_no_news_and_one_that_changes_is(champion: LoadedModel) -> None:
    shares = model_shares(champion)
    ill = shares + 0.6 * (1 - shares)  # where everybody is sent who is ill
    watching = watch(champion)
    calm = stream(champion, 400, {"ward/1": shares, "ward/2": ill})
    assert [alert for each in calm for alert in watching.see(each)] == []
    after = stream(champion, 200, {"ward/1": shares, "ward/2": 0.8 * ill}, start_s=400)
    (alert,) = [alert for each in after for alert in watching.see(each)]
    assert (alert.labels["source"], alert.labels["looks"]) == ("ward/2", "denied")
    assert alert.event.start is not msgspec.UNSET
    assert float(alert.labels["usual_positives"]) > int(alert.labels["positives"])


def test_what_goes_on_is_told_again_after_a_while_until_it_is_usual(champion: LoadedModel) -> None:
    shares = model_shares(champion)
    watching = watch(champion)
    for each in stream(champion, 600, {"ward/1": shares}):
        watching.see(each)
    found = [
        (second, alert)
        for second, each in enumerate(stream(champion, 8000, {"ward/1": 0.5 * shares}, start_s=600))
        for alert in watching.see(each)
    ]
    assert found[0][0] < 60
    assert 1 < len(found) < 4
    assert found[1][0] >= found[0][0] + 3600
    assert int(found[1][1].labels["alarms_since_last_alert"]) > 0


def test_whoever_takes_over_tells_what_the_first_would_have_told(champion: LoadedModel) -> None:
    shares = model_shares(champion)
    records = [
        *stream(champion, 300, {"ward/1": shares, "ward/2": shares}),
        *stream(champion, 200, {"ward/1": shares, "ward/2": 0.8 * shares}, start_s=300),
    ]
    whole, one, other = watch(champion), watch(champion), watch(champion)
    for each in records[:310]:
        one.see(each)
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(one.state), type=OfModel[PoisonState] | None))
    told_by_one = [alert for each in records for alert in whole.see(each)]
    assert [alert for each in records[310:] for alert in other.see(each)] == told_by_one
    assert told_by_one


def test_a_state_of_another_form_is_not_taken_over(champion: LoadedModel) -> None:
    one, other = watch(champion), watch(champion)
    for each in stream(champion, 30, {"ward/1": model_shares(champion)}):
        one.see(each)
    state = one.state
    assert state is not None
    state.state.sources["ward/1"].risks = [0.0]
    other.restore(state)
    other.see(Signals(AT_MS, {}, outcomes=[Outcomes(champion.bundle.digest, {})]))
    assert len(other) == 0


def test_sums_that_cannot_be_true_are_no_outcomes(champion: LoadedModel) -> None:
    bins = len(model_shares(champion))
    watching = watch(champion)
    strange = {"ward/1": [1] * bins + [2] * bins, "ward/2": [1] * bins}
    assert watching.see(Signals(AT_MS, {}, outcomes=[Outcomes(champion.bundle.digest, strange)])) == []
    assert len(watching) == 0


def test_there_is_no_opinion_on_a_source_before_it_is_known(champion: LoadedModel) -> None:
    shares = model_shares(champion)
    watching = watch(champion)
    for each in stream(champion, 100, {"ward/1": shares}):
        watching.see(each)
    opposite = stream(champion, 24, {"ward/1": shares, "ward/2": 1 - shares}, start_s=100)
    assert [alert for each in opposite for alert in watching.see(each)] == []


def test_sources_are_bounded_and_those_that_send_stay(champion: LoadedModel) -> None:
    shares = model_shares(champion)
    watching = watch(champion)
    rng = np.random.default_rng(5)
    for number in range(_MAX_SOURCES + 300):
        sources = {"ward/stays": told(champion, rng, 1, shares), f"ward/{number}": told(champion, rng, 1, shares)}
        watching.see(Signals(AT_MS + number, {}, outcomes=[Outcomes(champion.bundle.digest, sources)]))
    assert len(watching) == _MAX_SOURCES
    known = watching._champions.known
    assert known is not None
    assert {"ward/stays", f"ward/{_MAX_SOURCES + 299}"} <= known.sources.keys()


def test_the_risk_of_a_calm_source_stays_low() -> None:
    """After 2,000 outcomes, the first 500 learned, R is 1,500 on average, so ten times that in at most one of ten."""
    rng = np.random.default_rng(6)
    risks = []
    for _ in range(300):
        source = Source([0.0] * BINS, [0.0] * BINS, [0] * (2 * BINS))
        for _ in range(100):
            seen = rng.multinomial(20, np.full(BINS, 1 / BINS))
            source.waiting = [*seen.tolist(), *rng.binomial(seen, USUAL).tolist()]
            risk = _compare(source, USUAL, 0, 20.0)
        risks.append(math.exp(risk))
    assert np.mean(np.array(risks) > 15_000) < 0.1
    assert np.median(risks) > 1


COUNTS = st.lists(st.integers(0, 1000), min_size=BINS, max_size=BINS)


@given(st.lists(st.tuples(COUNTS, st.floats(0, 1)), min_size=1, max_size=20))
@settings(deadline=None)
def test_whatever_comes_the_state_is_finite_and_can_be_written_down(parts: list[tuple[list[int], float]]) -> None:
    source = Source([0.0] * BINS, [0.0] * BINS, [0] * (2 * BINS))
    for seen, share in parts:
        source.waiting = [1 + count for count in seen] + [int((1 + count) * share) for count in seen]
        risk = _compare(source, USUAL, AT_MS, 20.0)
        assert math.isfinite(risk)
        assert msgspec.json.decode(msgspec.json.encode(source), type=Source) == source
    assert all(0 <= ones <= seen for ones, seen in zip(source.positives, source.outcomes, strict=True))
