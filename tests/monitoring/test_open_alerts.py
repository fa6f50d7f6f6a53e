"""What stands, since when and until when, by the records alone; and what a page may hold."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.alerts import STANDS_AT_MOST_S, Rule, Severity, alert, stands_s
from contracts.codec import encode
from docs.write_advice import ADVICE, RUNBOOKS, document
from monitoring.notify import LINGER_MS, MAX_OPEN, Links, OpenAlerts, watchdog
from stream_app import release_alerts
from stream_app.detectors import counts, windows
from stream_app.detectors.rules import load_rules

NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000
STANDS_MS = stands_s("forged-records") * 1000


def told(
    rule: str = "forged-records",
    at_ms: int = NOW_MS,
    *,
    source: str = "icu",
    severity: Severity = "high",
    ended: bool = False,
    labels: dict[str, str] | None = None,
) -> bytes:
    made = alert(
        Rule(rule, rule, "1", f"docs/runbooks/{rule}.md"),
        f"{rule} of {source}",
        at_ms=at_ms,
        dataset="security",
        severity=severity,
        technique=("AML.T0073", "Impersonation"),
        labels={"source": source, **(labels or {})},
        first_ms=at_ms - 5000,
        id="7f" * 16,
        ended=ended,
    )
    return encode(made)


def opened(*records: bytes, now_ms: int = NOW_MS, taken: bool = False) -> OpenAlerts:
    found = OpenAlerts("cardiosentry", Links("https://host/", "https://kibana/{event_id}"))
    for each in records:
        found.take(each, now_ms, taken=taken)
    return found


def posted(found: OpenAlerts, now_ms: int = NOW_MS) -> list[dict[str, Any]]:
    built: list[dict[str, Any]] = msgspec.to_builtins(found.posted(now_ms))
    return built


def test_an_alert_is_what_alertmanager_takes() -> None:
    (found,) = posted(opened(told()))
    assert found["labels"] == {
        "alertname": "forged-records",
        "severity": "high",
        "service": "cardiosentry",
        "technique": "AML.T0073",
        "source": "icu",
    }
    assert (found["startsAt"], found["endsAt"]) == ("2026-09-21T14:13:15.000Z", "2026-09-21T14:33:20.000Z")
    assert found["generatorURL"] == "https://kibana/" + "7f" * 16
    assert found["annotations"]["runbook"] == "https://host/docs/runbooks/forged-records.md"
    assert found["annotations"]["do"].startswith("If it is a producer of yours")


def test_labels_are_bounded_and_what_may_lead_to_a_patient_stays_in_the_topic() -> None:
    secret = {"samples": "event-of-a-patient", "claimed_sources": "others", "seen_age": "67"}
    (found,) = posted(opened(told(source="x" * 5000, labels=secret)))
    assert len(found["labels"]["source"]) == 200
    assert not any(value in str(found) for value in secret.values())


def test_what_is_told_again_stays_one_alert_from_its_first_start_and_is_counted() -> None:
    found = opened(
        *(told(at_ms=NOW_MS + minute * 10 * MINUTE_MS) for minute in range(5)), now_ms=NOW_MS + STANDS_MS * 3
    )
    (one,) = posted(found)
    assert (one["annotations"]["count"], one["startsAt"]) == ("5", "2026-09-21T14:13:15.000Z")


def test_what_is_not_told_again_is_over_after_its_time_and_the_next_is_another() -> None:
    found = opened(told())
    found.posted(NOW_MS)
    found.were_taken(NOW_MS)
    later = NOW_MS + STANDS_MS + LINGER_MS + MINUTE_MS
    assert posted(found, later)[0]["endsAt"] == "2026-09-21T14:33:20.000Z"  # that it is over is yet to be taken
    found.were_taken(later)
    assert posted(found, later) == []
    found.take(told(at_ms=later), later)
    assert posted(found, later)[0]["annotations"]["count"] == "1"


def test_an_end_ends_what_it_tells_of_and_nothing_else() -> None:
    began = [told("source-silence"), told("source-silence", source="er")]
    found = opened(*began, told("source-silence", NOW_MS + 1000, ended=True), now_ms=NOW_MS + 2000)
    ends = {each["labels"]["source"]: each["endsAt"] for each in posted(found, NOW_MS + 2000)}
    assert ends == {"icu": "2026-09-21T14:13:21.000Z", "er": "2026-09-28T14:13:22.000Z"}
    found.take(told("source-silence", NOW_MS + 5000), NOW_MS + 5000)
    again = {each["labels"]["source"]: each for each in posted(found, NOW_MS + 5000)}["icu"]
    assert (again["annotations"]["count"], again["endsAt"]) == ("1", "2026-09-28T14:13:25.000Z")


def test_what_alertmanager_could_not_take_in_time_stands_from_when_it_can() -> None:
    found, late = opened(told()), NOW_MS + 10 * STANDS_MS
    assert posted(found, late)[0]["endsAt"] == "2026-09-21T17:53:20.000Z"
    assert posted(opened(told(), now_ms=late, taken=True), late) == []  # it was paged at its time


def test_a_time_in_the_future_counts_as_now() -> None:
    (found,) = posted(opened(told(at_ms=NOW_MS + 10**9)))
    assert (found["startsAt"], found["endsAt"]) == ("2026-09-21T14:13:20.000Z", "2026-09-21T14:33:20.000Z")


JUNK = {
    "empty": b"",
    "no json": b"{",
    "deep": b"[" * 100_000,
    "other json": b"{}",
    "severity": told().replace(b'"severity":3', b'"severity":9'),
    "time": told().replace(b'"created":"2', b'"created":"x'),
    "no zone": told().replace(b"Z", b""),
    "start": told().replace(b'"start":"2', b'"start":"x'),
}


@pytest.mark.parametrize("name", JUNK)
def test_what_is_no_alert_is_refused_and_changes_nothing(name: str) -> None:
    found = opened(told())
    with pytest.raises(ValueError, match="expected an alert as an ECS document"):
        found.take(JUNK[name], NOW_MS)
    assert len(found) == 1


def test_alerts_whose_labels_differ_in_name_alone_are_two() -> None:
    assert len(opened(told(source="", labels={"worker": "a"}), told(source="", labels={"model": "a"}))) == 2


def flood(count: int) -> list[bytes]:
    return [told("event-flood", source=f"ward-{number}", severity="medium") for number in range(count)]


def test_a_flood_of_sources_costs_bounded_memory_and_not_what_is_grave() -> None:
    found = opened(told("event-flood", source="first", severity="medium"), told(), told("drift", severity="low"))
    for each in flood(MAX_OPEN - 3):
        found.take(each, NOW_MS)
    found.were_taken(NOW_MS)
    for each in (told("clock-skew", source=f"late-{number}", severity="medium") for number in range(4)):
        found.take(each, NOW_MS)
    assert len(found) == MAX_OPEN
    gone = {"drift icu", "event-flood first", "event-flood ward-0", "event-flood ward-1"}
    kept = {f"{each['labels']['alertname']} {each['labels']['source']}" for each in posted(found)}
    assert kept.isdisjoint(gone)
    assert kept >= {"forged-records icu", "event-flood ward-2", "clock-skew late-0"}


def test_what_is_over_is_forgotten_before_what_stands() -> None:
    silent = [told("source-silence", source=source, severity="medium") for source in ("icu", "er")]
    found = opened(*silent, *flood(MAX_OPEN - 2), taken=True)
    found.take(told("source-silence", NOW_MS, source="er", severity="medium", ended=True), NOW_MS, taken=True)
    found.take(told("copied-values"), NOW_MS)
    sources = {each["labels"]["source"] for each in posted(found) if each["labels"]["alertname"] == "source-silence"}
    assert sources == {"icu"}


def test_what_alertmanager_has_not_had_is_never_forgotten_and_no_more_is_to_be_read() -> None:
    found = opened(told(), *flood(MAX_OPEN - 2))
    assert not found.is_full
    found.take(told("copied-values"), NOW_MS)
    assert found.is_full
    for each in flood(MAX_OPEN + 100):  # what was read at once
        found.take(each, NOW_MS)
    assert len(found) == MAX_OPEN + 102
    assert "forged-records" in {each["labels"]["alertname"] for each in posted(found)}
    found.were_taken(NOW_MS)
    assert not found.is_full


_RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["forged-records", "source-silence", "drift"]),
        st.sampled_from(["icu", "er"]),
        st.integers(0, 90),
        st.booleans(),
    ),
    max_size=30,
)


@given(_RECORDS, st.data())
def test_whoever_reads_back_comes_to_what_the_one_before_knew(
    records: list[tuple[str, str, int, bool]], data: st.DataObject
) -> None:
    """A successor reads what was committed as history, the rest as new: it posts what its predecessor would have."""
    records = sorted(records, key=lambda record: record[2])
    committed = data.draw(st.integers(0, len(records)))
    first, second = opened(), opened()
    for number, (rule, source, minute, ended) in enumerate(records):
        now_ms = NOW_MS + minute * MINUTE_MS
        record = told(rule, now_ms, source=source, ended=ended)
        first.take(record, now_ms)
        first.posted(now_ms)
        first.were_taken(now_ms)
        if number < committed:
            second.take(record, NOW_MS + records[committed - 1][2] * MINUTE_MS, taken=True)
        else:
            second.take(record, now_ms)
            second.posted(now_ms)
            second.were_taken(now_ms)
    end_ms = NOW_MS + 90 * MINUTE_MS

    def standing(found: OpenAlerts) -> list[dict[str, Any]]:
        each_end = [each for each in posted(found, end_ms) if each["endsAt"] > "2026-09-21T15:43:20.000Z"]
        return sorted(each_end, key=lambda each: sorted(each["labels"].items()))

    assert standing(first) == standing(second)


def test_the_watchdog_ends_by_itself() -> None:
    found = msgspec.to_builtins(watchdog("cardiosentry", NOW_MS, 90_000))
    assert found["labels"]["alertname"] == "Watchdog"
    assert found["endsAt"] == "2026-09-21T14:14:50.000Z"


def test_an_alert_stands_longer_than_its_rule_waits_before_it_tells_again() -> None:
    hourly = {"drift", "quality", "poisoned-outcomes"}
    ids = {rule.id for rule in load_rules().all}
    assert hourly < ids
    assert all(stands_s(rule) > (windows.QUIET_S if rule in hourly else counts.QUIET_S) for rule in ids)
    assert stands_s(release_alerts.NO_CHAMPION.id) * 1000 > release_alerts._TOLD_AGAIN_MS
    assert max(map(stands_s, ids)) <= STANDS_AT_MOST_S


def test_every_rule_says_what_to_do_and_the_file_is_current() -> None:
    assert ADVICE.read_text("utf-8") == document(), "run `make schemas`"
    assert all(f"{rule.id} = " in document() for rule in load_rules().all)
    assert {file.stem for file in RUNBOOKS.glob("*.md")} >= {rule.id for rule in load_rules().all}
