"""Shares that rise: told when they stay far enough above what was usual, whatever the mixture of sources."""

import random
from collections.abc import Iterator, Sequence

import pytest

from contracts.alerts import Alert
from contracts.detection import Part, Signals, SourceSignals
from stream_app.detectors.counts import EVERYBODY
from stream_app.detectors.rules import ShareRule, load_rules
from stream_app.detectors.shares import MAX_SHARES, Shares

AT_MS = 1_790_000_040_000
RULES = {rule.id: rule for rule in load_rules().share}


def stream(
    rule: ShareRule, shares: dict[str, float], events: dict[str, int], *, seconds: int, seed: int = 1, start_s: int = 0
) -> Iterator[Signals]:
    """Yield signals, one a second: so many events of each source, of which so many show the signal on average."""
    rng = random.Random(seed)
    for second in range(start_s, start_s + seconds):
        sources = {}
        for source, count in events.items():
            seen = sum(rng.random() < shares[source] for _ in range(count))
            samples = {rule.signal: [f"{source}-{second}"]} if seen else {}
            sources[source] = SourceSignals({rule.signal: seen, rule.of: count}, samples)
        yield Signals(AT_MS + second * 1000, sources)


def see(shares: Shares, *streams: Iterator[Signals]) -> list[Alert]:
    return [alert for each in streams for signals in each for alert in shares.see(signals)]


EVENTS = {"er": 40, "icu": 20, "gp": 10}
USUAL = {"er": 0.02, "icu": 0.05, "gp": 0.01}


def times(factor: float, *only: str) -> dict[str, float]:
    return {source: share * (factor if not only or source in only else 1) for source, share in USUAL.items()}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_rises_in_all_sources_is_told_with_what_was_usual(rule: ShareRule) -> None:
    shares = Shares([rule])
    assert see(shares, stream(rule, USUAL, EVENTS, seconds=600)) == []
    rise = stream(rule, times(rule.factor), EVENTS, seconds=300, seed=2, start_s=600)
    alert, *_ = see(shares, rise)
    assert (alert.rule.id, alert.labels["source"]) == (rule.id, EVERYBODY)
    assert int(alert.labels["seen"]) > 1.5 * float(alert.labels["usual"])
    assert set(alert.labels["rising_sources"].split()) <= set(EVENTS)
    assert len(alert.labels["samples"].split()) == 3
    assert alert.event.start is not None


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_rises_in_one_source_is_told_of_that_one_alone(rule: ShareRule) -> None:
    shares = Shares([rule])
    see(shares, stream(rule, USUAL, EVENTS, seconds=600))
    found = see(shares, stream(rule, times(6, "gp"), EVENTS, seconds=400, seed=2, start_s=600))
    assert "gp" in {alert.labels["source"] for alert in found}
    assert {alert.labels["source"] for alert in found} <= {"gp", EVERYBODY}


def quiet(rule: ShareRule) -> dict[str, Sequence[Iterator[Signals]]]:
    many = dict.fromkeys(EVENTS, 40)
    return {
        "a stream as usual": [stream(rule, USUAL, many, seconds=4000)],
        "a fifth more": [
            stream(rule, USUAL, many, seconds=600),
            stream(rule, times(1.2), many, seconds=2000, seed=3, start_s=600),
        ],
        "another mixture": [
            stream(rule, USUAL, {"er": 60, "icu": 2, "gp": 10}, seconds=900),
            stream(rule, USUAL, {"er": 2, "icu": 60, "gp": 10}, seconds=900, seed=3, start_s=900),
        ],
        "a clinic that is new, and other": [
            stream(rule, {"er": 0.01}, {"er": 40}, seconds=900),
            stream(rule, {"er": 0.01, "new": 0.1}, {"er": 40, "new": 20}, seconds=900, seed=3, start_s=900),
        ],
    }


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("case", quiet(next(iter(RULES.values()))))
def test_what_is_ordinary_is_not_told(rule: ShareRule, case: str) -> None:
    assert see(Shares([rule]), *quiet(rule)[case]) == []


def test_what_makes_the_sum_rise_does_not_become_usual_before_it_is_told() -> None:
    rule = RULES["evasion"]
    shares = Shares([rule])
    see(shares, stream(rule, USUAL, EVENTS, seconds=600))
    before = {source: share.seen for _, source, share in shares.state.shares}
    for signals in stream(rule, times(rule.factor), EVENTS, seconds=300, seed=2, start_s=600):
        if shares.see(signals):
            break
    after = {source: share.seen for _, source, share in shares.state.shares}
    assert after["er"] < before["er"] + 40 * 20 * 0.04  # not the minute and more that it took
    see(shares, stream(rule, times(rule.factor), EVENTS, seconds=20_000, seed=4, start_s=900))
    assert see(shares, stream(rule, times(rule.factor), EVENTS, seconds=2000, seed=5, start_s=21_000)) == []


def test_under_another_model_nothing_is_usual_yet() -> None:
    rule = RULES["evasion"]
    shares = Shares([rule])
    see(shares, stream(rule, USUAL, EVENTS, seconds=600))
    first = next(stream(rule, times(3), EVENTS, seconds=1))
    shares.see(Signals(first.at, first.sources, Part("sha256:other", 70, [])))
    assert see(shares, stream(rule, times(3), EVENTS, seconds=300, seed=2, start_s=600)) == []


def test_a_flood_of_sources_is_bounded() -> None:
    shares = Shares(list(RULES.values()))
    for number in range(3 * MAX_SHARES):
        shares.see(Signals(AT_MS, {f"ward/{number}": SourceSignals({"scored": 9, "new_patient": 9})}))
    assert len(shares) == MAX_SHARES
