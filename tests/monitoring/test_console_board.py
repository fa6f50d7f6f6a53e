"""What the page is told: the counts of what came, and nothing that a stranger's record could make of it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from contracts.alerts import Rule, alert
from contracts.codec import encode
from contracts.detection import Part, Signals, SourceSignals
from contracts.reasons import Reason
from monitoring.console.alerts import DAY_MS, MOST, Alerts
from monitoring.console.board import RISK_BINS, STEP_MS, Board
from monitoring.console.drift import Reference, ShownColumn
from monitoring.console.pages import read_pages

NOW = 1_790_000_000_000
DIGEST = "sha256:" + "7" * 64


def signals(scored: int, at_ms: int = NOW, part: Part | None = None) -> bytes:
    return encode(Signals(at_ms, {"uci": SourceSignals({"scored": scored, "late": 1}, {})}, part))


def prediction(probability: float | None, latency_ms: int = 20, **other: Any) -> bytes:
    return encode(
        {"probability": probability, "threshold": 0.4, "observed_at": NOW - latency_ms, "scored_at": NOW, **other}
    )


def told(rule: str = "replayed-events", *, source: str = "uci", id: str | None = None, ended: bool = False) -> bytes:
    built = alert(
        Rule(rule, "Events that came before", "1", f"docs/runbooks/{rule}.md"),
        f"Events that came before: 20 of {source}",
        at_ms=NOW,
        dataset="security",
        severity="high",
        technique=("AML.T0091", "Use Alternate Authentication Material"),
        labels={"source": source},
        first_ms=NOW - 5000,
        id=id,
        ended=ended,
    )
    return encode(built)


def take(alerts: Alerts, value: bytes, place: str = "security-alerts/0/1", at_ms: int = NOW) -> Any:
    return alerts.take(place, value, dataset="security", at_ms=at_ms, now_ms=NOW)


def test_the_rate_is_of_what_workers_say_they_scored() -> None:
    board = Board()
    for second in range(10):
        board.take_signals([signals(100, NOW + second * 1000)] * 2, NOW + second * 1000)
    tick = board.tick(NOW + 11_000)
    assert tick.rate == 200.0
    assert sum(tick.rates) * STEP_MS / 1000 == 2000
    assert board.tick(NOW + 12_000).rates == tick.rates  # of the last two seconds something may be on its way
    assert board.tick(NOW + 13_000).rates == [*tick.rates[1:], 0.0]
    assert board.tick(NOW + 60_000).rate == 0.0
    assert sum(board.tick(NOW + 400_000).rates) == 0


def test_latencies_and_risks_are_of_the_predictions_that_were_read() -> None:
    board = Board()
    board.take_predictions([prediction(0.02, 20)] * 98 + [prediction(1.0, 900), prediction(None, 900)], NOW, whole=True)
    tick = board.tick(NOW + STEP_MS + 1000)
    assert tick.p50 == pytest.approx(20, rel=0.1)
    assert tick.p99 == pytest.approx(900, rel=0.1)
    assert tick.risks == [98, *[0] * (RISK_BINS - 2), 1]
    assert (tick.threshold, tick.sampled) == (0.4, False)
    board.take_predictions([prediction(0.5)], NOW, whole=False)
    assert board.tick(NOW).sampled
    assert not board.tick(NOW + 700_000).sampled


STRANGE = {
    "nothing": b"",
    "no JSON": b"\xff",
    "deep": b"[" * 100_000,
    "a probability of 2": prediction(2.0),
    "a time without end": prediction(0.5, observed_at=10**400),
    "a time before time": prediction(0.5, observed_at=-(10**15)),
    "words": prediction(0.5, scored_at="now"),
}


@pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE)
def test_what_no_worker_writes_changes_nothing(value: bytes) -> None:
    board = Board()
    before = encode(board.tick(NOW))
    board.take_predictions([value], NOW, whole=True)
    board.take_signals([value], NOW)
    board.take_quarantined([(NOW, value[:100].decode("latin-1"))], NOW, whole=True)
    assert encode(board.tick(NOW)) == before


def test_quarantine_is_counted_by_reason_for_an_hour() -> None:
    board = Board()
    board.take_quarantined([(NOW - 1_800_000, "schema"), (NOW, "schema"), (NOW, "mac_wrong")], NOW, whole=True)
    board.take_quarantined([(NOW - 3_700_000, "empty"), (NOW, "<b>not a reason</b>")], NOW, whole=False)
    tick = board.tick(NOW)
    assert (tick.quarantined, tick.quarantine_cut) == ({"schema": 2, "mac_wrong": 1}, True)
    assert set(tick.quarantined) <= {reason.value for reason in Reason}
    assert board.tick(NOW + 2_000_000).quarantined == {"schema": 1, "mac_wrong": 1}


def test_a_broker_that_is_silent_is_told_with_since_when() -> None:
    board = Board()
    board.kafka_answered(NOW)
    assert board.tick(NOW + 5000).kafka_since is None
    assert board.tick(NOW + 9000).kafka_since == NOW


def reference(digest: str = DIGEST, baseline: int = 0) -> Reference:
    def rarities(totals: Sequence[int], events: int) -> Mapping[str, float]:
        return {"sex": totals[0] / events, "joint": float("inf")}

    columns = (ShownColumn("sex", "Sex", "", ("female", "male", "missing"), (0.2, 0.8, 0.0)),)
    return Reference(digest, baseline, 20, 4, columns, {}, rarities, lambda window_ms: window_ms / 1000)


def test_drift_adds_up_the_parts_of_the_champion_s_reference_alone() -> None:
    board = Board()
    board.reference = reference(baseline=2)
    ours = Part(DIGEST, 10, [7, 3, 0, -50], 2)
    strangers = [
        Part(DIGEST, 10, [1, 9, 0, 1], 1),
        Part("sha256:" + "0" * 64, 10, [1, 9, 0, 1], 2),
        Part(DIGEST, 0, [1, 1, 1, 1], 2),
        Part(DIGEST, 5, [1] * 20_000, 2),
    ]
    for at_ms in (NOW - 20_000, NOW):
        board.take_signals([signals(10, at_ms, part) for part in (ours, *strangers)], NOW)
    drift = board.tick(NOW).drift
    assert drift is not None
    assert (drift.events, drift.seen) == (20, {"sex": [14, 6, 0]})
    assert drift.rarity == {"sex": 0.7}  # what is no number has no place in JSON
    assert drift.limit == pytest.approx(20.0, abs=10)  # a window took all the time that there was
    empty = board.tick(NOW + 700_000).drift
    assert empty is not None
    assert (empty.events, empty.rarity, empty.limit) == (0, {}, None)


@pytest.mark.parametrize("totals", [3, 5])
def test_a_part_of_another_number_of_totals_is_left_out(totals: int) -> None:
    board = Board()
    board.reference = reference(baseline=2)
    board.take_signals([signals(10, NOW, Part(DIGEST, 30, [1] * totals, 2))], NOW)
    drift = board.tick(NOW).drift
    assert drift is not None
    assert drift.events == 0


def test_an_alert_is_shown_with_what_a_reviewer_needs() -> None:
    shown = take(Alerts(), told())
    assert (shown.rule, shown.severity, shown.key) == ("replayed-events", "high", "security-alerts/0/1")
    assert (shown.technique, shown.start) == (("AML.T0091", "Use Alternate Authentication Material"), NOW - 5000)
    assert shown.labels == {"source": "uci"}


def test_alerts_of_one_id_are_one_that_came_several_times() -> None:
    alerts = Alerts()
    take(alerts, told(source="first", id="7" * 32))
    take(alerts, told("other"), "security-alerts/0/2")
    take(alerts, told(source="second", id="7" * 32))
    newest, other = alerts.recent(NOW)
    assert (newest.times, newest.labels["source"], other.times) == (2, "second", 1)
    assert alerts.counts(NOW) == {"high": 2}


def test_what_says_that_an_alert_is_over_is_shown_and_not_counted() -> None:
    alerts = Alerts()
    take(alerts, told("source-silence"))
    assert take(alerts, told("source-silence", ended=True), "security-alerts/0/2").ended
    take(alerts, told("source-silence", id="a silence"), "security-alerts/0/3")
    over = take(alerts, told("source-silence", id="a silence", ended=True), "security-alerts/0/4")
    assert (over.ended, over.times) == (True, 1), "it was told once, and that it is over"
    assert len(alerts.recent(NOW)) == 3
    assert alerts.counts(NOW) == {"high": 1}


def test_alerts_are_of_the_last_day_and_of_a_bounded_number() -> None:
    alerts = Alerts()
    assert take(alerts, told(), "old", NOW - DAY_MS - 1) is None
    for number in range(MOST + 50):
        take(alerts, told(), f"security-alerts/0/{number}", NOW - number)
    assert len(alerts.recent(NOW)) == MOST
    assert alerts.recent(NOW + DAY_MS + 1) == []


def test_a_hostile_alert_is_cut_to_size_and_stays_text() -> None:
    hostile = json.loads(told(source="<script>alert(1)</script>"))
    hostile["message"] = "x" * 1_000_000
    hostile["labels"] |= {f"label{number}": "y" * 5000 for number in range(500)}
    hostile["event"] |= {"start": "the day before", "severity": 99}
    shown = take(Alerts(), msgspec.json.encode(hostile))
    assert len(encode(shown)) < 100_000
    assert (shown.start, shown.severity) == (None, "unknown")
    assert shown.labels["source"] == "<script>alert(1)</script>"


@pytest.mark.parametrize("value", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"@timestamp": 7}'])
def test_what_is_no_alert_is_counted(value: bytes) -> None:
    alerts = Alerts()
    assert take(alerts, value) is None
    assert (alerts.recent(NOW), alerts.unreadable) == ([], 1)


def test_the_page_has_words_for_every_reason() -> None:
    script = read_pages()["app.js"].body.decode()
    named = set(re.findall(r"(\w+): \"", script[script.index("const REASONS") : script.index("function quarantine")]))
    assert named == {reason.value for reason in Reason}
