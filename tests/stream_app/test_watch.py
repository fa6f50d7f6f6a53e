"""The rules over signals: each fires at its count and share, tells once, and stays within its bounds."""

import random
import re
import runpy
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from contracts.alerts import Alert, stands_s
from contracts.detection import SIGNAL_OF, Signal, Signals, SourceSignals
from contracts.reasons import Reason
from contracts.times import time_text
from contracts.topics import SECURITY_ALERTS, SIGNALS
from monitoring.notify import Links, OpenAlerts
from stream_app.detectors.counts import EVERYBODY, MAX_COUNTS, OF_SCORED, Counts
from stream_app.detectors.rates import MAX_SOURCES, Rates
from stream_app.detectors.rules import CountRule, DetectionRule, Limit, load_rules
from stream_app.detectors.watch import Watch
from stream_app.watching import SignalPipeline
from tests.stream_app.support import Wire, batch_of

AT_MS = 1_790_000_040_000  # a whole minute
ROOT = Path(__file__).parents[2]
RULES = {rule.id: rule for rule in load_rules().count}
LIMITS = [
    pytest.param(rule, limit, id=f"{rule.id}-{limit.window_s}s") for rule in RULES.values() for limit in rule.limits
]
ATLAS = {
    "AML.T0043.004",
    "AML.T0024.002",
    "AML.T0073",
    "AML.T0046",
    "AML.T0091",
    "AML.T0059",
    "AML.T0029",
    "AML.T0043",
    "AML.T0043.001",
    "AML.T0024",
    "AML.T0015",
    "AML.T0020",
}


def seen(at_ms: int, counts: dict[Signal, int], source: str = "icu/bed-4") -> Signals:
    return Signals(at_ms, {source: SourceSignals(counts, {name: [f"{name}-1"] for name in counts})})


def least(rule: CountRule, limit: Limit) -> dict[Signal, int]:
    """Return the smallest counts at which the rule fires by this limit, and by no other."""
    others = int(limit.count / limit.share) - limit.count if limit.share else 0
    counts: dict[Signal, int] = {rule.signal: limit.count}
    counts["scored"] = limit.count + others if rule.signal in OF_SCORED else others
    return counts


@pytest.mark.parametrize(("rule", "limit"), LIMITS)
def test_a_rule_fires_at_its_count_and_share_and_not_below(rule: CountRule, limit: Limit) -> None:
    (alert,) = Counts([rule]).see(seen(AT_MS, least(rule, limit)))
    assert (alert.rule.id, alert.labels["seen"]) == (rule.id, str(limit.count))
    assert alert.labels["source"] == ("icu/bed-4" if rule.scope == "source" else EVERYBODY)
    assert (alert.labels["samples"], alert.labels["window_s"]) == (f"{rule.signal}-1", str(limit.window_s))
    assert Counts([rule]).see(seen(AT_MS, {**least(rule, limit), rule.signal: limit.count - 1})) == []
    if limit.share:
        diluted = least(rule, limit)
        assert Counts([rule]).see(seen(AT_MS, {**diluted, "scored": 2 * diluted["scored"] + limit.count})) == []


@pytest.mark.parametrize(("rule", "limit"), LIMITS)
def test_counts_add_up_over_batches_within_the_window_and_not_beyond(rule: CountRule, limit: Limit) -> None:
    counts = least(rule, limit)
    parts = [dict.fromkeys(counts, 1)] * limit.count
    start = AT_MS - AT_MS % (limit.window_s * 1000)
    rest = seen(start, {"scored": max(0, counts["scored"] - limit.count)})
    together = Counts([rule])
    told = together.see(rest) + [found for part in parts for found in together.see(seen(start, part))]
    assert len(told) == 1
    apart = Counts([rule])
    window_ms = limit.window_s * 1000
    if limit.count > 1:
        assert [
            found for number, part in enumerate(parts) for found in apart.see(seen(start + number * window_ms, part))
        ] == []


def test_sources_are_judged_apart_but_for_what_anybody_can_claim() -> None:
    watch = Watch(load_rules(), lambda: None, 30)
    half = RULES["replayed-events"].limits[0].count // 2
    assert watch.see(seen(AT_MS, {"repeated": half}, "icu/bed-1")) == []
    assert watch.see(seen(AT_MS, {"repeated": half}, "icu/bed-2")) == []
    half = RULES["forged-records"].limits[0].count // 2
    assert watch.see(seen(AT_MS, {"forged": half}, "icu/bed-1")) == []
    (alert,) = watch.see(seen(AT_MS, {"forged": half + 1}, "icu/bed-2"))
    assert alert.labels["claimed_sources"] == "icu/bed-2 icu/bed-1"


def test_a_rule_that_goes_on_firing_is_told_again_after_a_while_with_what_came_since() -> None:
    watch = Watch(load_rules(), lambda: None, 30)
    told: list[Alert] = []
    for second in range(0, 1500, 10):
        told += watch.see(seen(AT_MS + second * 1000, {"forged": 20}))
    assert [alert.rule.id for alert in told] == ["forged-records"] * 3
    assert [alert.labels.get("seen_since_last_alert") for alert in told] == [None, str(59 * 20), str(59 * 20)]
    assert len({alert.event.id for alert in told}) == 3


def test_whoever_reads_the_signals_again_comes_to_the_same_alerts() -> None:
    rng = random.Random(4)
    names: list[Signal] = sorted(set(SIGNAL_OF.values()))
    records = [
        seen(AT_MS + number * 700, {rng.choice(names): rng.randint(1, 9)}, f"ward/{rng.randint(1, 5)}")
        for number in range(2000)
    ]
    one, other = Watch(load_rules(), lambda: None, 30), Watch(load_rules(), lambda: None, 30)
    told = [found for record in records for found in one.see(record)]
    assert told == [found for record in records for found in other.see(record)]
    assert told


def test_a_flood_of_sources_is_bounded_in_memory_and_in_alerts() -> None:
    watch = Watch(load_rules(), lambda: None, 30)
    told: list[Alert] = []
    for number in range(60_000):
        told += watch.see(seen(AT_MS + number // 1000, {"repeated": 50}, f"ward/{number}"))
    assert len(told) == 30
    assert len(watch) <= MAX_COUNTS + MAX_SOURCES
    (first,) = watch.see(seen(AT_MS + 60_000, {"repeated": 50}, "ward/last"))
    assert first.labels["alerts_not_written_before"] == str(60_000 - 30)


def steady(seconds: range, counts: dict[str, int]) -> list[Signals]:
    """Return signals, one a second: so many events of each source."""
    return [
        Signals(AT_MS + second * 1000, {source: SourceSignals({"scored": count}) for source, count in counts.items()})
        for second in seconds
    ]


def told(watch: Watch, records: list[Signals]) -> list[str]:
    return [
        f"{alert.rule.id} {alert.labels['source']}" + (" ended" if alert.event.action == "ended" else "")
        for record in records
        for alert in watch.see(record)
    ]


def test_a_source_that_sends_many_times_its_usual_rate_is_told_once_and_the_others_not() -> None:
    watch = Watch(load_rules(), lambda: None, 30)
    assert told(watch, steady(range(600), {"icu": 10, "er": 100})) == []
    assert told(watch, steady(range(600, 900), {"icu": 60, "er": 100})) == ["event-flood icu"]


@pytest.mark.parametrize("rate", [1, 10, 1000])
def test_a_source_that_falls_silent_is_told_once_and_once_when_it_is_back(rate: int) -> None:
    watch = Watch(load_rules(), lambda: None, 30)
    assert told(watch, steady(range(600), {"icu": rate, "er": 5})) == []
    assert told(watch, steady(range(600, 1200), {"er": 5})) == ["source-silence icu"]
    assert told(watch, steady(range(1200, 1500), {"icu": rate, "er": 5})) == ["source-silence icu ended"]


def test_after_an_outage_every_source_is_told_as_silent_and_every_one_that_was_told_as_back() -> None:
    """However many fall silent at once, while an attack takes its part of what may be written in a minute."""
    watch, beds = Watch(load_rules(), lambda: None, 30), {f"icu/bed-{number}": 1 for number in range(100)}
    attack = SourceSignals({"forged": 100, "future": 100, "scored": 1})
    open_alerts, found = OpenAlerts("cardiosentry", Links()), []
    records = [*steady(range(600), {"er": 1, **beds}), *steady(range(600, 900), {"er": 1})]
    records += steady(range(900, 1000), {"er": 1, **beds})
    records[600::2] = [msgspec.structs.replace(each, sources={**each.sources, "x": attack}) for each in records[600::2]]
    for record in records:
        found += watch.see(record)
    for each in found:
        open_alerts.take(msgspec.json.encode(each), records[-1].at)
    began = Counter(each.labels["source"] for each in found if each.rule.id == "source-silence")
    assert began == dict.fromkeys(beds, 2), "each once silent and once back"
    a_minute = Counter(each.timestamp[:16] for each in found if each.event.action != "ended")
    assert max(a_minute.values()) <= 30
    standing = open_alerts.posted(records[-1].at)
    assert all(
        each.ends_at <= time_text(records[-1].at) for each in standing if each.labels["alertname"] == "source-silence"
    )


def test_a_source_that_is_back_before_its_silence_could_be_written_is_told_neither_silent_nor_back() -> None:
    watch, beds = Watch(load_rules(), lambda: None, 30), {f"icu/bed-{number}": 1 for number in range(100)}
    found = told(watch, steady(range(600), {"er": 1, **beds}))
    found += told(watch, steady(range(600, 665), {"er": 1}))
    found += told(watch, steady(range(665, 800), {"er": 1, **beds}))
    assert sorted(found) == sorted(line for each in found[:30] for line in (each, f"{each} ended"))


LASTING: dict[str, tuple[dict[str, dict[Signal, int]], dict[str, dict[Signal, int]]]] = {
    **{rule.id: ({}, {"icu": least(rule, rule.limits[0])}) for rule in RULES.values()},
    "clock-behind": (
        {name: {"scored": 5} for name in ("icu", "er", "gp")},
        {"icu": {"scored": 5, "late": 5}, "er": {"scored": 5}, "gp": {"scored": 5}},
    ),
    "event-flood": ({"icu": {"scored": 10}}, {"icu": {"scored": 3000}}),
}


@pytest.mark.parametrize("rule", LASTING)
def test_an_alert_stands_while_what_it_tells_of_lasts_and_is_over_in_its_time_after_that(rule: str) -> None:
    watch, open_alerts = Watch(load_rules(), lambda: None, 30), OpenAlerts("cardiosentry", Links())
    calm, lasting = LASTING[rule]

    def stands(sources: dict[str, dict[Signal, int]], second: int) -> bool:
        at_ms = AT_MS + second * 1000
        for found in watch.see(Signals(at_ms, {name: SourceSignals(counts) for name, counts in sources.items()})):
            open_alerts.take(msgspec.json.encode(found), at_ms)
        standing = open_alerts.posted(at_ms)
        open_alerts.were_taken(at_ms)
        return any(each.labels["alertname"] == rule and each.ends_at > time_text(at_ms) for each in standing)

    assert not any(stands(calm, second) for second in range(0, 600, 10))
    stood = [stands(lasting, second) for second in range(600, 9600, 10)]
    assert stood.index(True) < 60
    assert all(stood[stood.index(True) :])
    assert not [stands(calm, second) for second in range(9600, 9600 + stands_s(rule) + 10, 10)][-1]


def test_a_rate_is_measured_by_what_was_usual_before_it_and_is_usual_itself_after_a_day() -> None:
    rates, day = Rates(load_rules().flood, load_rules().silence), 86_400
    calm, flood = {"icu": SourceSignals({"scored": 100})}, {"icu": SourceSignals({"scored": 3000})}
    at = [*range(0, 600, 10), *range(600, 600 + 2 * day, 10)]
    found = [
        each for second in at for each in rates.see(Signals(AT_MS + second * 1000, flood if second >= 600 else calm))
    ]
    assert len(found) == day // 600
    assert {each.labels["usual"] for each in found} == {found[0].labels["usual"]}


def test_the_end_of_a_silence_is_written_and_is_not_counted_as_an_alert() -> None:
    pipeline = SignalPipeline(lambda: Watch(load_rules(), lambda: None, 30), lambda *_: (), lambda: 0.0)
    calm, silent, back = range(600), range(600, 1200), range(1200, 1500)
    records = [*steady(calm, {"icu": 10, "er": 5}), *steady(silent, {"er": 5}), *steady(back, {"icu": 10, "er": 5})]
    values = [Wire(b"signals", msgspec.json.encode(each)) for each in records]
    result = pipeline(batch_of(values, topic=SIGNALS.name), AT_MS + 2_000_000)
    assert [b'"ended"' in alert for _, alert in result.outputs[SECURITY_ALERTS.name] if b"source-silence" in alert] == [
        False,
        True,
    ]
    assert result.alerts["source-silence"] == 1


def test_a_rate_that_rises_slowly_or_a_source_that_rarely_sends_is_nothing_to_tell() -> None:
    rising = [steady(range(part * 300, (part + 1) * 300), {"icu": part * 10}) for part in range(1, 20)]
    assert told(Watch(load_rules(), lambda: None, 30), [record for part in rising for record in part]) == []
    rare = [record for second in range(0, 60_000, 900) for record in steady(range(second, second + 1), {"gp": 1})]
    assert told(Watch(load_rules(), lambda: None, 30), rare) == []


def test_every_reason_is_a_sign_of_something_and_every_sign_has_a_rule() -> None:
    assert SIGNAL_OF.keys() == set(Reason) - {Reason.BLOCKED}
    assert {rule.signal for rule in RULES.values()} >= set(SIGNAL_OF.values()) | {
        "repeated",
        "near_threshold",
        "inconsistent",
    }


@pytest.mark.parametrize("rule", load_rules().all, ids=lambda rule: rule.id)
def test_every_rule_has_a_runbook_and_a_technique_that_we_looked_up(rule: DetectionRule) -> None:
    text = (ROOT / rule.rule.reference).read_text()
    for section in ("**Means:**", "**Check:**", "**Do:**", "**False positives:**"):
        assert section in text
    assert rule.technique is None or rule.technique[0] in ATLAS
    assert not re.search(r"AML\.T\d+", text) or (rule.technique and rule.technique[0] in text)


def test_the_documentation_lists_the_rules_as_they_are() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "write_detection.py"))["document"]()
    assert (ROOT / "docs" / "detection.md").read_text() == made, "run: make schemas"
