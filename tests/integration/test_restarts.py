"""Workers stop, die, join and leave while events flow: every event is scored, in its patient's order."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from contracts.topics import EVENTS, OUTCOMES
from producers.sign import Signer
from producers.sources import SourceRecord
from stream_app.slot import EXIT_FENCED
from tests.integration.stream import Patients, SteadyLoad, Stream, same_histories
from tests.support.broker import Broker
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

STOPS_WITHIN_S = 15.0
"""A worker stops in 1-2 s on an idle machine."""

RATE = 1000.0  # events/s


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_a_graceful_stop_under_load_ends_in_seconds_and_the_next_start_goes_on_where_it_was(
    kafka: Broker, site: Site, tmp_path: Path, how: signal.Signals
) -> None:
    prefix = kafka.topics("stop")
    stream = Stream(kafka, prefix)
    with (
        Serving(site, kafka.bootstrap, prefix, tmp_path / "log") as serving,
        SteadyLoad(stream, site, RATE) as load,
    ):
        serving.start().wait_until_ready()
        wait_for(lambda: serving.metric("cardiosentry_predictions_total") > 1000, 30, serving.text)
        started = time.monotonic()
        assert serving.stop(how) == 0, serving.text()
        assert time.monotonic() - started < STOPS_WITHIN_S
        serving.wait_until_workers_are_gone(1.0)
        assert not serving.exits()
        assert "Traceback" not in serving.text()
        serving.start().wait_until_ready()
        wait_for(lambda: serving.metric("cardiosentry_predictions_total") > 1000, 30, serving.text)
        load.finish()
        outputs = stream.outputs(explain=serving.text)
        assert serving.stop(how) == 0, serving.text()
    same_histories(load.by_patient(), outputs.by_patient())
    assert not outputs.quarantined


def test_an_event_that_comes_again_is_not_scored_again_whoever_has_its_partition_now(
    kafka: Broker, site: Site, tmp_path: Path
) -> None:
    prefix = kafka.topics("again")
    stream, patients = Stream(kafka, prefix), Patients(site, seed=8)
    events = patients.events(300)
    with Serving(site, kafka.bootstrap, prefix, tmp_path / "log") as serving:
        serving.start().wait_until_ready()
        stream.produce(events)
        assert sorted(stream.outputs(explain=serving.text).event_ids) == sorted(event.event_id for event in events)
        (worker,) = serving.workers()
        worker.kill()
        wait_for(lambda: [each.pid for each in serving.workers()] not in ([], [worker.pid]), 30, serving.text)
        serving.wait_until_ready()
        changed = signed_again(events[7], site)
        more = patients.events(20)
        places = stream.produce([*events[100:], changed, *more])
        outputs = stream.outputs(explain=serving.text)
        assert sorted(outputs.event_ids) == sorted(event.event_id for event in more)
        assert outputs.reasons == {places[200]: "repeated"}
        assert serving.metric("cardiosentry_repeats_total") == 200


def signed_again(event: SourceRecord, site: Site) -> SourceRecord:
    """Return an event of the same id with another value in it, signed by its source."""
    value = (event.value or b"").replace(b'"sex":0', b'"sex":1') if b'"sex":0' in (event.value or b"") else None
    value = value or (event.value or b"").replace(b'"sex":1', b'"sex":0')
    assert value != event.value
    return msgspec.structs.replace(
        event, value=value, headers=Signer(site.keyring).headers(event.source, event.key, value)
    )


def test_a_member_that_joins_and_leaves_costs_no_event_doubles_none_and_keeps_each_patients_order(
    kafka: Broker, site: Site, tmp_path: Path
) -> None:
    prefix = kafka.topics("rebalance")
    stream = Stream(kafka, prefix)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    first = Serving(site, kafka.bootstrap, prefix, tmp_path / "first.log", instance="first")
    second = Serving(site, kafka.bootstrap, prefix, tmp_path / "second.log", instance="second")

    def logs() -> str:
        return f"{first.text()}\n{second.text()}"

    def shares() -> list[int]:
        return sorted(len(assignment) for assignment in assignments(admin, stream.group).values())

    with SteadyLoad(stream, site, RATE) as load, first, second:
        first.start().wait_until_ready()
        second.start().wait_until_ready()
        wait_for(lambda: shares() == [4, 5], 30, logs)  # one of them watches the signals too
        for member, assignment in assignments(admin, stream.group).items():
            events = {partition for topic, partition in assignment if topic == prefix + EVENTS.name}
            outcomes = {partition for topic, partition in assignment if topic == prefix + OUTCOMES.name}
            assert events == outcomes, member
        wait_for(lambda: second.metric("cardiosentry_predictions_total") > 500, 30, logs)
        assert second.stop() == 0, second.text()
        wait_for(lambda: shares() == [9], 30, logs)
        scored = first.metric("cardiosentry_predictions_total")
        wait_for(lambda: first.metric("cardiosentry_predictions_total") > scored + 1000, 30, logs)
        load.finish()
        outputs = stream.outputs(explain=logs)
        assert not first.exits() + second.exits(), logs()
    same_histories(load.by_patient(), outputs.by_patient())
    assert not outputs.quarantined


def test_a_second_serve_of_the_same_name_is_refused_and_the_first_goes_on(
    kafka: Broker, site: Site, tmp_path: Path
) -> None:
    prefix = kafka.topics("second")
    stream, patients = Stream(kafka, prefix), Patients(site, seed=8)
    with Serving(site, kafka.bootstrap, prefix, tmp_path / "first.log") as first:
        first.start().wait_until_ready()
        with Serving(site, kafka.bootstrap, prefix, tmp_path / "second.log", released=True) as second:
            assert second.start().wait(30) == 1
            assert f"error: setting instance: expected that nobody is {stream.group}-test-0" in second.text()
        events = patients.events(20)
        stream.produce(events)
        assert sorted(stream.outputs(explain=first.text).event_ids) == sorted(event.event_id for event in events)
        assert first.stop() == 0
        assert not first.exits()


def test_a_start_waits_for_the_session_of_a_predecessor_that_was_killed(
    kafka: Broker, site: Site, tmp_path: Path
) -> None:
    prefix = kafka.topics("predecessor")
    with Serving(site, kafka.bootstrap, prefix, tmp_path / "log") as serving:
        serving.start().wait_until_ready()
        (worker,) = serving.workers()
        worker.suspend()  # so that it cannot leave the group when its supervisor is gone
        serving.stop(signal.SIGKILL)
        worker.kill()
        serving.wait_until_workers_are_gone()
        serving.start().wait_until_ready()
        assert "to leave the group, or for the end of its session" in serving.text()


@contextmanager
def named(kafka: Broker, prefix: str, name: str, wait: Callable[[], str]) -> Iterator[None]:
    """Be the member `name` of the group that works on the topics; leaving ends that as a crash does."""
    properties = {"bootstrap.servers": kafka.bootstrap, "group.id": Stream(kafka, prefix).group}
    other = Consumer({**properties, "group.instance.id": name, "session.timeout.ms": 6000})
    other.subscribe([prefix + EVENTS.name])
    try:
        wait_for(lambda: other.poll(0.1) is not None or bool(other.assignment()), 60, wait)
        yield
    finally:
        other.close()


def test_a_worker_whose_name_is_taken_ends_and_its_serve_with_it(kafka: Broker, site: Site, tmp_path: Path) -> None:
    prefix = kafka.topics("taken")
    name = f"{Stream(kafka, prefix).group}-test-1"
    with Serving(site, kafka.bootstrap, prefix, tmp_path / "log", workers=2) as serving:
        serving.start().wait_until_ready(2)
        assert len(serving.workers()) == 2
        with named(kafka, prefix, name, serving.text):
            assert serving.wait(60) == 1
        assert f"error: setting instance: expected that nobody is {name} in the group" in serving.text()
        assert not serving.workers()
        assert not serving.exits()


def test_a_worker_that_lost_its_name_to_nobody_takes_it_back(kafka: Broker, site: Site, tmp_path: Path) -> None:
    prefix = kafka.topics("lost")
    stream = Stream(kafka, prefix)
    with Serving(site, kafka.bootstrap, prefix, tmp_path / "log") as serving:
        serving.start().wait_until_ready()
        with named(kafka, prefix, f"{stream.group}-test-0", serving.text):
            pass
        wait_for(lambda: serving.exits() == [EXIT_FENCED], 60, serving.text)
        serving.wait_until_ready()
        events = Patients(site, seed=8).events(20)
        stream.produce(events)
        assert sorted(stream.outputs(explain=serving.text).event_ids) == sorted(event.event_id for event in events)


def assignments(admin: AdminClient, group: str) -> dict[str, set[tuple[str, int]]]:
    """Return the partitions of each member of the group."""
    description = admin.describe_consumer_groups([group])[group].result(timeout=10)
    return {
        member.member_id: {(partition.topic, partition.partition) for partition in member.assignment.topic_partitions}
        for member in description.members
    }
