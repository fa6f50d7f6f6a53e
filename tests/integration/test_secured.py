"""On a Kafka that grants nothing by itself every process does its work under its own user, and nothing besides."""

import json
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from cli.collecting import collect_topics
from cli.kafka import write
from cli.learning import learn, live_champion
from cli.main import cardiosentry
from cli.placement import placements
from cli.releasing import read_releases
from cli.topics import EXIT_DIFFERS
from contracts.access import PROCESSES, WORKER, Acl, Process, rights
from contracts.errors import UserError
from contracts.releases import Contained
from contracts.topics import (
    EVENTS,
    MODEL_ALERTS,
    NEVER_JOINED,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINE,
    RELEASES,
    SECURITY_ALERTS,
    SIGNALS,
    TOPICS,
    Topic,
)
from models.pipeline.collect import CollectPolicy
from monitoring.reader import TopicReader
from stream_app.output import TransactionalOutput
from tests.integration.secured import HOSPITAL, SecuredSystem
from tests.support.broker import Broker
from tests.support.kafka import java
from tests.support.process import environment
from tests.support.secured import SecuredKafka, new_authority
from tests.support.serving import Serving
from tests.support.site import Site
from tests.support.waiting import wait_for

EVENTS_SENT = 60
Refused = dict[tuple[str, str], Future["subprocess.CompletedProcess[str]"]]
POLICY = CollectPolicy(settle_s=0, before_s=0, after_s=0, least_rows=10, least_of_each=1)


@pytest.fixture(scope="module")
def system(secured: SecuredKafka, site: Site, tmp_path_factory: pytest.TempPathFactory) -> SecuredSystem:
    """A system with its topics, its rights, and a released champion."""
    directory = tmp_path_factory.mktemp("access")
    own = Site(site.bundle, site.keys, directory / "store")
    made = SecuredSystem(secured, own, tmp_path_factory.mktemp("settings"), "ward-", "ward")
    made.ok("admin", "topics", "acl", "--apply", *made.everybody())
    made.ok("release", "release", str(site.bundle), "--role", "champion", "--reason", "a test")
    return made


@pytest.fixture(scope="module")
def worked(system: SecuredSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The ids of events that a hospital sent in two halves; the worker was killed between them."""
    log = tmp_path_factory.mktemp("serving") / "log"
    produce = ("produce", "replay", "--limit", str(EVENTS_SENT // 2), "--outcome-delay", "0", "--malformed", "0.1")
    with Serving(
        system.site,
        system.kafka.bootstrap,
        system.prefix,
        log,
        released=True,
        group=system.group,
        config=str(system.file("worker")),
    ) as serving:
        serving.start().wait_until_ready()
        system.ok(HOSPITAL, *produce, "--seed", "1")
        wait_for(lambda: len(outputs(system)) == EVENTS_SENT // 2, 60, serving.text)
        (worker,) = serving.workers()
        worker.send_signal(signal.SIGKILL)
        system.ok(HOSPITAL, *produce, "--seed", "2")
        wait_for(lambda: len(outputs(system)) == EVENTS_SENT, 60, serving.text)
        yield tuple(outputs(system))
        assert serving.stop() == 0
        assert serving.exits() == [-signal.SIGKILL]


def outputs(system: SecuredSystem) -> list[str]:
    """Return what each prediction and quarantined event is of."""
    topics = [system.prefix + topic.name for topic in (PREDICTIONS, QUARANTINE)]
    found = []
    with TopicReader(system.kafka_of("retrain"), topics, beginning=True) as reader:
        for message in reader.until_end():
            if message.topic() == topics[0]:
                found.append(json.loads(message.value() or b"")["event_id"])
            else:
                found.append(dict(message.headers() or [])["cs-origin"].decode())  # type: ignore[union-attr]
    return [each for each in found if OUTCOMES.name not in each]


def test_every_event_comes_back_once_though_the_worker_dies(system: SecuredSystem, worked: tuple[str, ...]) -> None:
    assert len(set(worked)) == len(worked) == EVENTS_SENT


def test_an_application_consumes_predictions_in_a_group_that_is_named_as_its_user(
    system: SecuredSystem, worked: tuple[str, ...]
) -> None:
    group = {"group.id": system.user("consumer"), "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    consumer = Consumer({**system.kafka_of("consumer"), **group})
    consumer.subscribe([system.prefix + PREDICTIONS.name])
    scored = [event for event in worked if "/" not in event]
    found: list[str] = []
    try:
        wait_for(lambda: take(consumer, found) == len(scored), 30, lambda: f"{len(found)} of {len(scored)}")
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()
    assert sorted(found) == sorted(scored)


def take(consumer: Consumer, found: list[str]) -> int:
    for message in consumer.consume(100, 0.2):
        assert message.error() is None, message.error()
        found.append(json.loads(message.value() or b"")["event_id"])
    return len(found)


@pytest.mark.usefixtures("worked")
def test_a_reviewer_opens_what_is_quarantined(system: SecuredSystem) -> None:
    assert EVENTS.name in system.ok("reviewer", "quarantine", "show", "-n", "1")


def test_retrain_collects_what_was_scored(system: SecuredSystem, worked: tuple[str, ...], tmp_path: Path) -> None:
    report = collect_topics(system.settings("retrain"), tmp_path, POLICY, contained=Contained())
    assert report.facts[f"read of {EVENTS.name}"] == EVENTS_SENT
    assert 0 < int(report.facts["rows"] or 0) <= len(worked)


@pytest.mark.usefixtures("worked")
def test_each_command_reads_and_writes_what_it_needs(system: SecuredSystem) -> None:
    assert placements(system.settings("models"))
    baseline = system.settings("baseline")
    champion = live_champion(baseline, read_releases(baseline))
    assert learn(baseline, champion, 0, time.time_ns() // 1_000_000).read == EVENTS_SENT
    rescan = system.settings("rescan")
    assert read_releases(rescan).entries
    write(rescan, SECURITY_ALERTS, [(b"rescan", b"{}")], "an alert")


@pytest.mark.usefixtures("worked")
def test_notify_sees_how_far_the_workers_are(system: SecuredSystem) -> None:
    admin = AdminClient(dict(system.kafka_of("notify")))
    group = system.group
    assert admin.describe_consumer_groups([group], request_timeout=10)[group].result(15)
    places = [TopicPartition(system.prefix + topic.name, 0) for topic in (EVENTS, OUTCOMES, SIGNALS)]
    (answer,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values()
    assert all(place.error is None for place in answer.result(15).topic_partitions)
    for process in ("notify", "console"):
        alerts = [system.prefix + topic.name for topic in (SECURITY_ALERTS, MODEL_ALERTS)]
        with TopicReader(system.kafka_of(process), alerts, beginning=True) as reader:
            list(islice(reader.until_end(), 1))


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_a_process_may_neither_read_nor_write_what_it_is_not_granted(system: SecuredSystem, process: Process) -> None:
    unread = [topic for topic in TOPICS if topic not in process.reads]
    unwritten = [topic for topic in TOPICS if topic not in process.writes]
    assert refused_reads(system, process.name, unread) == {topic.name for topic in unread}
    assert refused_writes(system, process.name, unwritten) == {topic.name for topic in unwritten}


def refused_writes(system: SecuredSystem, process: str, topics: list[Topic]) -> set[str]:
    """Return the topics that Kafka lets a process not write to; try all."""
    producer, refused = Producer(system.kafka_of(process)), set()
    for topic in topics:

        def delivered(error: KafkaError | None, _: object, name: str = topic.name) -> None:
            if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                refused.add(name)

        producer.produce(system.prefix + topic.name, b"a test", on_delivery=delivered)
    assert producer.flush(30) == 0
    return refused


def refused_reads(system: SecuredSystem, process: str, topics: list[Topic]) -> set[str]:
    """Return the topics that Kafka lets a process not see, or see and not read from; try all."""
    consumer = Consumer({**system.kafka_of(process), "group.id": NEVER_JOINED})
    names = {system.prefix + topic.name: topic.name for topic in topics}
    refused: set[str] = set()

    def refuse(name: str | None, error: KafkaError | None) -> None:
        if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            refused.add(names[name or ""])

    try:
        for name in names:
            refuse(name, consumer.list_topics(name, timeout=30).topics[name].error)
        seen = [name for name in names if names[name] not in refused]
        consumer.assign([TopicPartition(name, 0, OFFSET_BEGINNING) for name in seen])
        deadline = time.monotonic() + 15
        while len(refused) < len(topics) and time.monotonic() < deadline:
            for message in consumer.consume(100, 0.2):
                assert message.error() is not None, f"{process} read a record of {message.topic()}"
                refuse(message.topic(), message.error())
    finally:
        consumer.close()
    return refused


@pytest.mark.parametrize(
    ("process", "name"), [("worker", "other-host-0"), ("retrain", "ward-host-0"), ("producer", "ward-host-0")]
)
def test_transactional_ids_are_the_workers_and_begin_with_the_group(
    system: SecuredSystem, process: str, name: str
) -> None:
    producer = Producer({**system.kafka_of(process), "transactional.id": name})
    with pytest.raises(KafkaException) as caught:
        producer.init_transactions(30)
    assert caught.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_nobody_joins_the_group_of_another(system: SecuredSystem) -> None:
    consumer = Consumer({**system.kafka_of("retrain"), "group.id": system.group})
    consumer.subscribe([system.prefix + EVENTS.name])

    def refused() -> bool:
        errors = [error for each in consumer.consume(10, 0.2) if (error := each.error())]
        return any(error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED for error in errors)

    try:
        wait_for(refused, 15)
    finally:
        consumer.close()


def test_serve_under_a_user_without_rights_names_what_it_may_not_see(system: SecuredSystem) -> None:
    done = system.run("consumer", "serve")
    assert done.returncode == 1
    assert f"expected the topics {system.prefix}{EVENTS.name}, " in done.stderr
    assert f"{system.prefix}{PREDICTIONS.name}," not in done.stderr
    assert "cardiosentry topics acl" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_with_another_group_is_told_whose_transactions_it_may_not_write(system: SecuredSystem) -> None:
    with pytest.raises(UserError, match=r"^transactional id other-host-0: .*; this user may not"):
        TransactionalOutput(system.kafka_of("worker"), "other-host-0")


def test_a_hospital_that_may_not_read_is_told_so(system: SecuredSystem) -> None:
    done = system.run(HOSPITAL, "tail", PREDICTIONS.name)
    assert done.returncode == 1
    assert f"topic {system.prefix}{PREDICTIONS.name}: expected to read it; this user may not" in done.stderr


def test_the_check_tells_what_is_missing_and_too_much_and_kafkas_own_command_puts_it_right(
    system: SecuredSystem, tmp_path: Path
) -> None:
    def check(*more: str) -> "subprocess.CompletedProcess[str]":
        return system.run("admin", "topics", "acl", "--check", *system.everybody(), *more)

    clean = check()
    assert (clean.returncode, clean.stderr) == (0, ""), clean.stdout
    topic = system.prefix + RELEASES.name
    stray = Acl("User:mallory", "topic", system.prefix, True, "WRITE", host="10.0.0.1")
    denied = Acl("User:*", "topic", topic, False, "ALL", host="10.0.0.2", allows=False)
    admin = system.admin()
    for done in admin.create_acls([binding(stray), binding(denied)]).values():
        done.result(30)
    second = ("--for", "worker=User:second worker")
    found = check(*second)
    assert found.returncode == EXIT_DIFFERS
    lacks = rights(WORKER, "User:second worker", prefix=system.prefix, group=system.group)
    assert [line for line in found.stdout.splitlines() if line.startswith("# ")][2:] == [
        *(f"# missing: {acl}" for acl in sorted(lacks)),
        f"# too much: User:mallory may WRITE topic {system.prefix}... from 10.0.0.1",
        f"# in the way: User:* may not ALL topic {topic} from 10.0.0.2",
    ]
    run_script(system, found.stdout, tmp_path)
    assert check(*second).returncode == 0, check(*second).stdout
    for acl in lacks:
        remove(admin, acl)


def binding(acl: Acl) -> AclBinding:
    transactional = acl.resource == "transactional-id"
    return AclBinding(
        ResourceType.TRANSACTIONAL_ID if transactional else ResourceType[acl.resource.upper()],
        acl.name,
        ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL,
        acl.principal,
        acl.host,
        AclOperation[acl.operation],
        AclPermissionType.ALLOW if acl.allows else AclPermissionType.DENY,
    )


def remove(admin: AdminClient, acl: Acl) -> None:
    made = binding(acl)
    place = made.restype, made.name, made.resource_pattern_type, made.principal, made.host
    for done in admin.delete_acls([AclBindingFilter(*place, made.operation, made.permission_type)]).values():
        assert len(done.result(30)) == 1


def run_script(system: SecuredSystem, script: str, directory: Path) -> None:
    """Run a script of kafka-acls.sh calls with the Kafka that the tests have."""
    tool, admin, file = directory / "kafka-acls.sh", directory / "admin.properties", directory / "acls.sh"
    run = shlex.join([*java(["-XX:TieredStopAtLevel=1"]), "org.apache.kafka.tools.AclCommand"])
    tool.write_text(f'#!/bin/sh\nexec {run} "$@"\n')
    tool.chmod(0o755)
    admin.write_text(system.kafka.admin_file)
    file.write_text(script)
    variables = {**environment(), "KAFKA_ACLS": str(tool), "ADMIN": str(admin)}
    done = subprocess.run(["sh", str(file)], env=variables, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broker_without_access_rights_is_told_of(kafka: Broker) -> None:
    def run(option: str) -> Result:
        return CliRunner().invoke(cardiosentry, ["topics", "acl", option, "--bootstrap", kafka.bootstrap])

    done = run("--apply")
    assert isinstance(done.exception, UserError)
    assert "it has no authorizer: everybody may do everything" in str(done.exception)
    done = run("--check")
    assert done.exit_code == EXIT_DIFFERS
    assert "no access rights at all" in done.stderr


def test_who_may_not_see_or_alter_rights_is_told_so(system: SecuredSystem) -> None:
    refused = system.run("worker", "topics", "acl", "--apply")
    assert refused.returncode == 1
    assert "expected the broker to grant access rights" in refused.stderr
    assert "expected a user who may alter the cluster" in refused.stderr
    assert "no access rights at all" in system.run("worker", "topics", "acl", "--check").stderr


WRONG = {
    "a wrong password": ({"sasl_password": "of somebody else"}, "expected the name and password of a user"),
    "an unknown user": ({"sasl_username": "mallory"}, "expected the name and password of a user"),
    "another mechanism": ({"sasl_mechanism": "PLAIN"}, "see sasl.mechanism"),
    "another authority": ({"ssl_ca_location": "{other}"}, "expected a broker whose certificate is by a CA"),
    "another host": ({"bootstrap_servers": "localhost:{port}", "broker_address_family": "v4"}, "names the host"),
    "no such file": ({"ssl_ca_location": "/nowhere/ca.pem"}, "ssl.ca.location"),
    "no TLS": ({"security_protocol": "sasl_plaintext"}, "none answered in 10 s to security.protocol sasl_plaintext"),
}
COMMANDS = {
    "tail": ("tail", PREDICTIONS.name),
    "serve": ("serve",),
    "produce": ("produce", "synthetic", "--limit", "1"),
}


REFUSED = [*((name, "tail") for name in WRONG), ("a wrong password", "serve"), ("another authority", "produce")]


@pytest.fixture(scope="module")
def refused(system: SecuredSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    """Every command whose connection is refused, all at once: one of them waits for ten seconds."""
    other = tmp_path_factory.mktemp("other") / "ca.pem"
    other.write_bytes(new_authority("other").certificate)
    places = {"other": other, "port": system.kafka.bootstrap.rpartition(":")[2]}

    def run(name: str, command_name: str) -> "subprocess.CompletedProcess[str]":
        properties = {key: value.format(**places) for key, value in WRONG[name][0].items()}
        return system.run("worker", *COMMANDS[command_name], **properties)

    with ThreadPoolExecutor(len(REFUSED)) as pool:
        yield {case: pool.submit(run, *case) for case in REFUSED}


@pytest.mark.parametrize(("name", "command_name"), REFUSED)
def test_a_connection_that_is_refused_is_explained_in_a_sentence_without_a_secret(
    refused: Refused, name: str, command_name: str
) -> None:
    says, done = WRONG[name][1], refused[name, command_name].result()
    assert done.returncode == 1, done.stdout + done.stderr
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert says in said
    for secret in ("Traceback", "secret of", "of somebody else"):
        assert secret not in done.stdout + done.stderr


def test_a_changed_password_counts_for_every_connection_from_then_on(system: SecuredSystem) -> None:
    user, before = system.user("models"), system.settings("models")
    assert read_releases(before).entries
    system.passwords[user] = "another secret of models"
    system.kafka.add_users({user: system.passwords[user]})
    with pytest.raises(UserError, match="expected the name and password of a user"):
        placements(before)
    assert read_releases(system.settings("models")).entries


def test_two_authorities_are_trusted_while_one_follows_the_other(system: SecuredSystem, tmp_path: Path) -> None:
    both = tmp_path / "ca.pem"
    both.write_bytes(new_authority("next").certificate + system.kafka.ca.read_bytes())
    done = system.run("models", "models", "list", ssl_ca_location=str(both))
    assert done.returncode == 0, done.stderr


def test_settings_show_no_password_wherever_it_comes_from(system: SecuredSystem) -> None:
    shown = system.ok("worker", "settings")
    assert '"sasl.password" = "***"' in shown
    assert "secret of" not in shown
