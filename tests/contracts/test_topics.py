"""The topics keep what the architecture promises of them."""

from collections import Counter

import pytest

from contracts.topics import (
    DEFAULT_PARTITIONS,
    EVENTS,
    INCIDENT_ACTS,
    MAX_RECORD_BYTES,
    OUTCOMES,
    QUARANTINE,
    RELEASES,
    TOPICS,
    Topic,
)
from stream_app.quarantine import MAX_COPY_BYTES


def test_every_topic_has_a_name_of_its_own_that_kafka_takes() -> None:
    assert max(Counter(topic.name for topic in TOPICS).values()) == 1
    for topic in TOPICS:
        assert topic.name.replace("-", "").isalpha()
        assert topic.name.islower()


def test_events_and_outcomes_meet_in_one_worker() -> None:
    """The same key and the same number of partitions: the same patient has the same partition in both."""
    assert EVENTS.key == OUTCOMES.key == "patient_id"
    assert EVENTS.partitions == OUTCOMES.partitions == 0


def test_when_a_person_signed_is_told_by_the_broker() -> None:
    assert {topic.name for topic in TOPICS if topic.broker_time} == {RELEASES.name, INCIDENT_ACTS.name}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_nothing_is_kept_without_end_by_accident(topic: Topic) -> None:
    assert topic.retention_ms >= 24 * 60 * 60 * 1000 or (
        topic in (RELEASES, INCIDENT_ACTS) and topic.retention_ms == -1
    )
    assert topic.partitions >= 0
    assert topic.key
    assert topic.holds


def test_the_default_number_of_partitions_divides_among_small_groups() -> None:
    assert all(DEFAULT_PARTITIONS % workers == 0 for workers in (1, 2, 3, 4, 6, 12))


def test_a_quarantined_copy_and_its_headers_fit_a_record() -> None:
    assert MAX_COPY_BYTES + 16 * 1024 < MAX_RECORD_BYTES
    assert QUARANTINE.key == "none"
