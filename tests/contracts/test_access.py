"""The table of rights: what no process may ever get, and how a cluster that differs from it is told of."""

import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.access import PROCESSES, Acl, Differences, Process, differences, rights
from contracts.refusals import explain, said
from contracts.topics import (
    EVENTS,
    INCIDENT_ACTS,
    MODEL_ALERTS,
    NEVER_JOINED,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINE,
    RELEASES,
    SECURITY_ALERTS,
    SHADOW_PREDICTIONS,
    SHIP_REJECTS,
    SIGNALS,
    TOPICS,
    Topic,
)

ROOT = Path(__file__).parents[2]
BY_NAME = {process.name: process for process in PROCESSES}
NAMES = {"prefix": "ward-", "group": "ward"}

# Written out again, so that a right is never added by a slip of the table alone.
WRITES: dict[str, set[Topic]] = {
    "producer": {EVENTS},
    "outcomes": {OUTCOMES},
    "worker": {PREDICTIONS, SHADOW_PREDICTIONS, QUARANTINE, SECURITY_ALERTS, MODEL_ALERTS, SIGNALS},
    "release": {RELEASES},
    "baseline": {RELEASES},
    "retrain": {RELEASES},
    "rescan": {SECURITY_ALERTS},
    "shipper": {SHIP_REJECTS},
    "incidents": {INCIDENT_ACTS},
}
READERS: dict[Topic, set[str]] = {
    EVENTS: {"worker", "baseline", "retrain"},
    OUTCOMES: {"worker", "retrain"},
    PREDICTIONS: {"consumer", "retrain", "models", "shipper", "console"},
    QUARANTINE: {"reviewer", "retrain", "shipper", "console"},
    SIGNALS: {"worker", "console"},
    SHIP_REJECTS: set(),
}


def acls(*processes: str) -> list[Acl]:
    return [acl for name in processes or BY_NAME for acl in rights(BY_NAME[name], f"User:{name}", **NAMES)]


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_a_process_writes_what_it_makes_and_nothing_else(process: Process) -> None:
    assert set(process.writes) == WRITES.get(process.name, set())


@pytest.mark.parametrize("topic", READERS, ids=lambda topic: topic.name)
def test_a_topic_with_patients_is_read_by_those_who_need_it(topic: Topic) -> None:
    assert {process.name for process in PROCESSES if topic in process.reads} == READERS[topic]


def test_no_right_reaches_the_cluster_every_topic_or_what_another_system_has() -> None:
    for acl in acls():
        assert acl.operation in ("READ", "WRITE", "DESCRIBE")
        assert acl.resource != "cluster"
        assert acl.prefixed == (acl.resource == "transactional-id")
        assert acl.name.startswith("ward") or acl.name == NEVER_JOINED or acl.name in BY_NAME
        assert acl.host == "*"
        assert acl.allows


def test_the_group_that_nobody_joins_is_described_and_no_more() -> None:
    assert {acl.operation for acl in acls() if acl.name == NEVER_JOINED} == {"DESCRIBE"}


def test_transactions_are_the_workers_alone() -> None:
    found = [acl for acl in acls() if acl.resource == "transactional-id"]
    assert found == [Acl("User:worker", "transactional-id", "ward-", True, "WRITE")]


def test_an_application_reads_in_a_group_that_is_named_as_its_user() -> None:
    found = rights(BY_NAME["consumer"], "User:icu", **NAMES)
    (group,) = (acl for acl in found if acl.resource == "group" and acl.operation == "READ")
    assert group.name == "icu"


def test_a_cluster_that_has_what_it_should_differs_in_nothing() -> None:
    assert differences(acls(), acls(), **NAMES) == Differences([], [], [])


@given(st.sets(st.sampled_from(acls())), st.sets(st.sampled_from(sorted(BY_NAME)), min_size=1))
def test_all_that_is_taken_away_is_missing_and_whoever_is_not_named_is_too_much(
    lost: set[Acl], named: set[str]
) -> None:
    wanted, there = acls(*sorted(named)), [acl for acl in acls() if acl not in lost]
    found = differences(wanted, there, **NAMES)
    assert set(found.missing) == lost & set(wanted)
    others = {acl for acl in there if acl not in wanted and acl.name != NEVER_JOINED}
    applications = {acl for acl in others if acl.resource == "group" and acl.name == "consumer"}
    assert set(found.too_much) == others - applications


TOO_MUCH = {
    "a topic": Acl("User:x", "topic", "ward-predictions", False, "READ"),
    "every topic": Acl("User:x", "topic", "*", False, "DESCRIBE"),
    "topics that begin so": Acl("User:x", "topic", "wa", True, "WRITE"),
    "everybody": Acl("User:*", "topic", "ward-patient-events", False, "READ"),
    "the workers' group": Acl("User:x", "group", "ward", False, "READ"),
    "every group": Acl("User:x", "group", "*", False, "READ"),
    "a worker's transactions": Acl("User:x", "transactional-id", "ward-host-0", False, "WRITE"),
    "all transactions": Acl("User:x", "transactional-id", "", True, "WRITE"),
    "a known user, elsewhere": Acl("User:worker", "topic", "payroll", False, "READ"),
    "a known user, more": Acl("User:worker", "topic", "ward-model-releases", False, "WRITE"),
    "a known user, from one host": Acl("User:worker", "topic", "ward-predictions", False, "WRITE", host="10.0.0.1"),
    "a known user, the cluster": Acl("User:worker", "cluster", "kafka-cluster", False, "ALTER"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_is_told(name: str) -> None:
    assert differences(acls(), [*acls(), TOO_MUCH[name]], **NAMES) == Differences([], [TOO_MUCH[name]], [])


NOT_OURS = {
    "another system's topic": Acl("User:x", "topic", "predictions", False, "READ"),
    "topics of another system": Acl("User:x", "topic", "ward2-", True, "ALL"),
    "another group": Acl("User:x", "group", "ward2", False, "READ"),
    "another's transactions": Acl("User:x", "transactional-id", "ward2-", True, "WRITE"),
    "the cluster": Acl("User:x", "cluster", "kafka-cluster", False, "ALTER"),
    "asking for the group that nobody joins": Acl("User:x", "group", NEVER_JOINED, False, "DESCRIBE"),
    "a prohibition of another": Acl("User:x", "topic", "ward-predictions", False, "READ", allows=False),
    "a prohibition of what nobody needs": Acl("User:worker", "topic", "payroll", False, "READ", allows=False),
}


@pytest.mark.parametrize("name", NOT_OURS)
def test_what_is_not_this_systems_is_left_alone(name: str) -> None:
    assert differences(acls(), [*acls(), NOT_OURS[name]], **NAMES) == Differences([], [], [])


DENIED = {
    "the same": Acl("User:worker", "topic", "ward-predictions", False, "WRITE", allows=False),
    "everything, for everybody": Acl("User:*", "topic", "*", False, "ALL", allows=False),
    "from one host": Acl("User:worker", "topic", "ward-", True, "WRITE", host="10.0.0.1", allows=False),
    "some of its transactions": Acl("User:worker", "transactional-id", "ward-a-0", False, "WRITE", allows=False),
}


@pytest.mark.parametrize("name", DENIED)
def test_a_prohibition_in_the_way_is_told(name: str) -> None:
    assert differences(acls(), [*acls(), DENIED[name]], **NAMES) == Differences([], [], [DENIED[name]])


def test_a_right_is_told_on_one_line_whatever_its_names_hold() -> None:
    said = str(Acl("User:mallory\nrm -r /\x9b#", "topic", "predictions\u202e", False, "READ"))
    assert said == r"User:mallory\nrm -r /\x9b# may READ topic predictions\u202e"


def test_a_topic_that_is_new_has_somebody_who_writes_it() -> None:
    assert set(TOPICS) <= {topic for process in PROCESSES for topic in process.writes}


def test_an_explanation_repeats_nothing_of_the_text_and_unknown_errors_have_none() -> None:
    for name in ("_AUTHENTICATION", "_SSL", "TOPIC_AUTHORIZATION_FAILED"):
        assert "hunter2" not in explain(name, "hunter2")
        assert said(name, "text").startswith("text; ")
    assert explain("_TRANSPORT", "Connection refused") == ""
    assert said("_TRANSPORT", "text") == "text"
    assert "security.protocol" in explain("_SSL", "SSL handshake failed: wrong version number: a PLAINTEXT listener?")


def test_the_documentation_has_the_table_as_it_is() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "write_access.py"))["document"]()
    assert (ROOT / "docs" / "kafka-security.md").read_text() == made, "run: make schemas"
    assert "| worker |" in made
