"""The brokers that tests run against."""

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.support.broker import Broker
from tests.support.embedded import embedded_broker
from tests.support.kafka import KafkaServer, KafkaUnavailable


def cannot_run(reason: str) -> NoReturn:
    """Skip the test and say why; under CI=true fail it, since a suite that skips itself proves nothing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"real Kafka: {reason}", pytrace=False)
    pytest.skip(f"real Kafka: {reason}")


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A real Kafka, one for the whole run; use topics of your own on it."""
    try:
        server = KafkaServer()
        server.start()
    except KafkaUnavailable as error:
        cannot_run(str(error))
    try:
        yield Broker(server.bootstrap, real=True)
    finally:
        server.close()


@pytest.fixture
def embedded() -> Iterator[Broker]:
    """A mock cluster, one a test: what it holds in memory goes with it."""
    with embedded_broker() as bootstrap:
        yield Broker(bootstrap, real=False)


@pytest.fixture(params=["real", "embedded"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each kind of broker in turn, for contract suites."""
    found = request.getfixturevalue("kafka" if request.param == "real" else "embedded")
    assert isinstance(found, Broker)
    return found
