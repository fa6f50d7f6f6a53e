"""The harness itself: a suite that runs on a broken broker proves nothing."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer

from contracts.topics import EVENTS, TOPICS
from tests.conftest import cannot_run
from tests.support import kafka as kafka_module
from tests.support.broker import Broker
from tests.support.kafka import KafkaServer, KafkaUnavailable
from tests.support.reading import read_topic


def publish(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, key=b"key", headers=[("header", b"1")])
    assert producer.flush(30) == 0


def test_a_topic_is_read_to_its_end_with_keys_and_headers(broker: Broker) -> None:
    topic = broker.topics() + EVENTS.name
    publish(broker.bootstrap, topic, [b"1", b"2"])

    records = read_topic(broker.bootstrap, topic, 2)

    assert [(r.key, r.value, r.headers) for r in records] == [
        (b"key", b"1", (("header", b"1"),)),
        (b"key", b"2", (("header", b"1"),)),
    ]


def test_every_topic_is_made_under_a_prefix_of_its_own(kafka: Broker) -> None:
    first, second = kafka.topics("mine", partitions=2), kafka.topics("mine", partitions=2)

    assert first != second
    for topic in TOPICS:
        assert read_topic(kafka.bootstrap, first + topic.name) == []


def test_a_committed_reader_sees_nothing_of_an_aborted_transaction(kafka: Broker) -> None:
    topic = kafka.topics() + EVENTS.name
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "retry.backoff.ms": 5})
    producer.init_transactions()
    for value, end in ((b"aborted", producer.abort_transaction), (b"committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush()
        end()

    assert [r.value for r in read_topic(kafka.bootstrap, topic, 1)] == [b"committed"]
    assert len(read_topic(kafka.bootstrap, topic, 2, isolation="read_uncommitted")) == 2


def test_data_and_address_outlive_a_clean_stop_and_a_hard_kill(kafka: Broker) -> None:
    with KafkaServer() as server:
        own, address = Broker(server.bootstrap, real=True), server.bootstrap
        topic = own.topics() + EVENTS.name
        publish(server.bootstrap, topic, [b"before"])
        for end in (server.kill, server.stop):
            pid = server.pid
            end()
            assert pid is not None
            assert not psutil.pid_exists(pid)
            server.start()
            assert server.bootstrap == address
            publish(server.bootstrap, topic, [end.__name__.encode()])

        values = [r.value for r in read_topic(server.bootstrap, topic, 3)]

    assert values == [b"before", b"kill", b"stop"]


def test_the_broker_and_its_data_go_when_the_test_run_is_killed(kafka: Broker) -> None:
    program = """
        import time
        from tests.support.kafka import KafkaServer
        server = KafkaServer()
        server.start()
        print(server.pid, server.log.parent, flush=True)
        time.sleep(600)
    """
    run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    assert run.stdout
    pid, directory = run.stdout.readline().split()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (psutil.pid_exists(int(pid)) or Path(directory).exists()):
        time.sleep(0.1)

    assert not psutil.pid_exists(int(pid))
    assert not Path(directory).exists()


def test_a_machine_without_java_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KafkaUnavailable, match=r"^needs Java 17 and Maven: java not found on PATH$"):
        kafka_module.prepare()


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_broker_skips_the_test_except_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no java"):
        cannot_run("no java")
