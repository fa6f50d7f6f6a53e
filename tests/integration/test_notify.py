"""Alerts become pages, once each, whatever dies meanwhile; and the outside hears when the watching dies."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from contracts.alerts import Alert, Rule, Severity, alert
from contracts.topics import EVENTS, SECURITY_ALERTS
from monitoring.notify import MAX_OPEN
from tests.integration.stream import Patients, Stream
from tests.support.alertmanager import AlertmanagerServer
from tests.support.broker import Broker
from tests.support.kafka import KafkaServer
from tests.support.notifying import Notifying, write_alerts
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

PAGED_S = 60.0


def told(rule: str, source: str, severity: Severity = "medium", *, ended: bool = False) -> Alert:
    return alert(
        Rule(rule, rule, "1", f"docs/runbooks/{rule}.md"),
        f"{rule} of {source}",
        at_ms=time.time_ns() // 1_000_000,
        dataset="security",
        severity=severity,
        labels={"source": source, "samples": "5e0c"},
        id="7f" * 16,
        ended=ended,
    )


@pytest.fixture
def prefix(kafka: Broker) -> str:
    return kafka.topics("notify")


@pytest.fixture
def notifying(kafka: Broker, prefix: str, alertmanager: AlertmanagerServer, tmp_path: Path) -> Iterator[Notifying]:
    with Notifying(kafka.bootstrap, prefix, alertmanager.url, tmp_path / "log") as process:
        yield process


def service(prefix: str) -> str:
    return f"{prefix}group"


def committed(bootstrap: str, prefix: str) -> int:
    """Return up to where the alerts are known to have been taken; negative before the first commit."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{prefix}group-notify"})
    try:
        (found,) = consumer.committed([TopicPartition(prefix + SECURITY_ALERTS.name, 0)], timeout=30)
        return found.offset
    finally:
        consumer.close()


@contextmanager
def worker(bootstrap: str, prefix: str) -> Iterator[None]:
    """A member of the workers' group: it is there, and nothing waits for it."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{prefix}group"})
    try:
        consumer.subscribe([prefix + EVENTS.name])
        wait_for(lambda: bool(consumer.poll(0) or consumer.assignment()), 30)
        yield
    finally:
        consumer.close()


def test_a_thousand_records_of_one_alert_are_one_page_and_its_end_is_told(
    kafka: Broker, prefix: str, notifying: Notifying, alertmanager: AlertmanagerServer
) -> None:
    write_alerts(kafka.bootstrap, prefix, (told("source-silence", "icu/bed-4") for _ in range(1000)))
    firing = ("firing", "source-silence", frozenset({"icu/bed-4"}))
    wait_for(lambda: firing in alertmanager.pages(service(prefix)), PAGED_S, notifying.text)
    wait_for(lambda: committed(kafka.bootstrap, prefix) == 1000, PAGED_S, notifying.text)
    (standing,) = alertmanager.alerts(service(prefix))
    assert standing["annotations"] == {
        "summary": "source-silence of icu/bed-4",
        "do": standing["annotations"]["do"],
        "runbook": "https://hospital.example/docs/runbooks/source-silence.md",
        "event_id": "7f" * 16,
        "count": "1000",
    }
    assert standing["annotations"]["do"].startswith("Tell the ward: until events come")
    write_alerts(kafka.bootstrap, prefix, [told("source-silence", "icu/bed-4", ended=True)])
    wait_for(lambda: len(alertmanager.pages(service(prefix))) > 1, PAGED_S, notifying.text)
    assert alertmanager.pages(service(prefix), "slack") == [firing, ("resolved", *firing[1:])]
    assert notifying.stop() == 0


def test_what_is_grave_reaches_those_on_call_by_every_way(
    kafka: Broker, prefix: str, notifying: Notifying, alertmanager: AlertmanagerServer
) -> None:
    source = f"ward/{prefix}"  # what the messages hold, to tell them from other tests'
    write_alerts(kafka.bootstrap, prefix, [told("forged-records", source, "high")])

    def said() -> dict[str, str]:
        calls = [call for call in list(alertmanager.recorder.calls) if source in str(call.body)]
        return {call.path.split("/")[1]: str(call.body) for call in calls}

    wait_for(lambda: said().keys() >= {"slack", "telegram", "pagerduty", "webhook"}, PAGED_S, notifying.text)
    for way in ("slack", "telegram", "pagerduty"):
        for part in ("[high] forged-records", source, "docs/runbooks/forged-records.md", "Do: If it is a producer"):
            assert part in said()[way], way
        assert "5e0c" not in said()[way]  # an event's id may lead to a patient, and these are others' servers
    assert "'severity': 'error'" in said()["pagerduty"]


def test_a_silence_holds_and_a_flood_keeps_quiet_what_is_lesser_and_nothing_else(
    kafka: Broker, prefix: str, notifying: Notifying, alertmanager: AlertmanagerServer
) -> None:
    alertmanager.silence(service=service(prefix), alertname="clock-skew")
    write_alerts(kafka.bootstrap, prefix, [told("event-flood", "icu")])
    wait_for(lambda: len(alertmanager.alerts(service(prefix))) == 1, PAGED_S, notifying.text)
    others = [told("clock-skew", "er"), told("unlike-training", "icu"), told("replayed-events", "icu", "high")]
    write_alerts(kafka.bootstrap, prefix, others)

    def paged() -> set[str]:
        return {rule for _, rule, _ in alertmanager.pages(service(prefix))}

    def why_not() -> dict[str, list[str]]:
        return {
            each["labels"]["alertname"]: [name for name in ("silencedBy", "inhibitedBy") if each["status"][name]]
            for each in alertmanager.alerts(service(prefix))
        }

    quiet = {"event-flood": [], "replayed-events": [], "clock-skew": ["silencedBy"], "unlike-training": ["inhibitedBy"]}
    wait_for(lambda: paged() >= {"event-flood", "replayed-events"} and why_not() == quiet, PAGED_S, notifying.text)
    assert paged() == {"event-flood", "replayed-events"}


def test_records_that_are_strange_or_none_of_ours_keep_no_other_up(
    kafka: Broker, prefix: str, notifying: Notifying, alertmanager: AlertmanagerServer
) -> None:
    odd = alert(
        Rule("", "", "", ""),
        "\x00\u2603" * 2000,
        at_ms=0,
        dataset="security",
        severity="low",
        labels={"source": '"}\n\\\x00\u2603'},
        id="%/ \n\u2603",
        ended=True,
    )
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for value in (b"", b"{", b"\xff\x00", b"[" * 100_000, None):
        producer.produce(prefix + SECURITY_ALERTS.name, value, partition=0)
    assert producer.flush(30) == 0
    write_alerts(kafka.bootstrap, prefix, [odd, told("clock-skew", "icu")])
    wait_for(lambda: len(alertmanager.pages(service(prefix))) == 1, PAGED_S, notifying.text)
    wait_for(lambda: committed(kafka.bootstrap, prefix) == 7, PAGED_S, notifying.text)
    assert "alerts wait" not in notifying.text()


def test_what_comes_while_alertmanager_is_down_is_paged_once_when_it_is_back(
    kafka: Broker, prefix: str, notifying: Notifying, alertmanager: AlertmanagerServer
) -> None:
    write_alerts(kafka.bootstrap, prefix, [told("clock-skew", "icu")])
    wait_for(lambda: len(alertmanager.pages(service(prefix))) == 1, PAGED_S, notifying.text)
    wait_for(lambda: committed(kafka.bootstrap, prefix) == 1, PAGED_S, notifying.text)
    alertmanager.stop()
    try:
        write_alerts(kafka.bootstrap, prefix, [told("event-flood", "er") for _ in range(20)])
        wait_for(lambda: "alerts wait" in notifying.text(), PAGED_S, notifying.text)
        assert committed(kafka.bootstrap, prefix) == 1
    finally:
        alertmanager.start()
    wait_for(lambda: committed(kafka.bootstrap, prefix) == 21, PAGED_S, notifying.text)
    wait_for(lambda: "alerts taken" in notifying.text(), PAGED_S, notifying.text)
    wait_for(lambda: len(alertmanager.pages(service(prefix))) > 1, PAGED_S, notifying.text)
    # A third rule comes through last: whatever is paged twice would have been by then.
    write_alerts(kafka.bootstrap, prefix, [told("copied-values", "*", "high")])
    wait_for(lambda: len(alertmanager.pages(service(prefix), "on-call")) == 1, PAGED_S, notifying.text)
    assert [page[:2] for page in alertmanager.pages(service(prefix))] == [
        ("firing", "clock-skew"),
        ("firing", "event-flood"),
        ("firing", "copied-values"),
    ]


@pytest.mark.usefixtures("alertmanager")  # which says what is missing on this machine
def test_a_flood_while_alertmanager_is_down_costs_no_page_however_many_it_is_about(
    kafka: Broker, prefix: str, tmp_path: Path
) -> None:
    with (  # an Alertmanager of its own: thousands of alerts keep one busy until they end
        AlertmanagerServer() as flooded,
        Notifying(kafka.bootstrap, prefix, flooded.url, tmp_path / "log") as notifying,
    ):
        wait_for(lambda: "assigned partitions" in notifying.text(), PAGED_S, notifying.text)
        flooded.stop()
        floods = (told("event-flood", f"ward-{number}") for number in range(MAX_OPEN + 500))
        write_alerts(kafka.bootstrap, prefix, [told("forged-records", "icu", "high"), *floods])
        write_alerts(kafka.bootstrap, prefix, [told("copied-values", "*", "high")])
        wait_for(lambda: "alerts wait" in notifying.text(), PAGED_S, notifying.text)
        flooded.start()
        wait_for(lambda: committed(kafka.bootstrap, prefix) == MAX_OPEN + 502, PAGED_S, notifying.text)
        wait_for(lambda: len(flooded.pages(service(prefix), "on-call")) == 2, PAGED_S, notifying.text)
        assert len(flooded.alerts(service(prefix))) == MAX_OPEN + 502


def test_one_that_is_killed_is_followed_by_one_that_knows_what_stands_and_two_at_once_page_once(
    kafka: Broker, prefix: str, notifying: Notifying, alertmanager: AlertmanagerServer, tmp_path: Path
) -> None:
    write_alerts(kafka.bootstrap, prefix, [told("source-silence", "icu") for _ in range(3)])
    wait_for(lambda: len(alertmanager.pages(service(prefix))) == 1, PAGED_S, notifying.text)
    with Notifying(kafka.bootstrap, prefix, alertmanager.url, tmp_path / "second") as second:
        notifying.stop(signal.SIGKILL)
        more = [told("source-silence", "icu") for _ in range(2)]
        write_alerts(kafka.bootstrap, prefix, [*more, told("event-flood", "er")])
        wait_for(lambda: len(alertmanager.pages(service(prefix))) == 2, PAGED_S, second.text)
        counts = {
            each["labels"]["alertname"]: each["annotations"]["count"] for each in alertmanager.alerts(service(prefix))
        }
        assert counts == {"source-silence": "5", "event-flood": "1"}
        write_alerts(kafka.bootstrap, prefix, [told("source-silence", "icu", ended=True)])
        wait_for(lambda: len(alertmanager.pages(service(prefix))) == 3, PAGED_S, second.text)
    assert [page[:2] for page in alertmanager.pages(service(prefix))] == [
        ("firing", "source-silence"),
        ("firing", "event-flood"),
        ("resolved", "source-silence"),
    ]


def test_an_attack_on_a_running_system_is_paged_and_its_watchdog_ends_with_its_workers(
    kafka: Broker, site: Site, prefix: str, alertmanager: AlertmanagerServer, tmp_path: Path
) -> None:
    stream, patients = Stream(kafka, prefix), Patients(site, seed=14)
    with (
        Serving(site, kafka.bootstrap, prefix, tmp_path / "serve") as serving,
        Notifying(kafka.bootstrap, prefix, alertmanager.url, tmp_path / "log") as process,
    ):
        serving.start().wait_until_ready()
        events = patients.events(100)
        stream.produce(events)
        stream.outputs(explain=serving.text)
        wait_for(lambda: alertmanager.heartbeats(service(prefix)) > 0, PAGED_S, process.text)
        source = events[0].source
        stream.produce([event for event in events if event.source == source] * 25)
        firing = ("firing", "replayed-events", frozenset({source}))
        wait_for(lambda: firing in alertmanager.pages(service(prefix), "on-call"), PAGED_S, process.text)
        assert not any(event.event_id in str(alertmanager.alerts(service(prefix))) for event in events)
        assert serving.stop() == 0
        wait_for(lambda: not alertmanager.has_watchdog(service(prefix)), PAGED_S, process.text)


def test_the_outside_hears_nothing_more_when_workers_are_gone_or_notify_is_killed(
    kafka: Broker, prefix: str, notifying: Notifying, alertmanager: AlertmanagerServer
) -> None:
    mine = service(prefix)
    wait_for(lambda: "no worker is in the group" in notifying.text(), PAGED_S, notifying.text)
    assert not alertmanager.has_watchdog(mine)
    with worker(kafka.bootstrap, prefix):
        wait_for(lambda: alertmanager.heartbeats(mine) >= 2, PAGED_S, notifying.text)
    wait_for(lambda: not alertmanager.has_watchdog(mine), PAGED_S, notifying.text)
    with worker(kafka.bootstrap, prefix):
        wait_for(lambda: alertmanager.has_watchdog(mine), PAGED_S, notifying.text)
        notifying.stop(signal.SIGKILL)
        wait_for(lambda: not alertmanager.has_watchdog(mine), PAGED_S, notifying.text)


def test_the_outside_hears_nothing_more_when_kafka_is_gone(
    kafka: Broker, alertmanager: AlertmanagerServer, tmp_path: Path
) -> None:
    with KafkaServer(heap="512m") as server:
        own = Broker(server.bootstrap, real=True)
        prefix = own.topics("notify")
        with (
            Notifying(own.bootstrap, prefix, alertmanager.url, tmp_path / "log") as process,
            worker(own.bootstrap, prefix),
        ):
            wait_for(lambda: alertmanager.has_watchdog(service(prefix)), PAGED_S, process.text)
            server.kill()
            wait_for(lambda: not alertmanager.has_watchdog(service(prefix)), PAGED_S, process.text)
            assert process.stop(signal.SIGTERM) == 0
