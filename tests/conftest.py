"""What several suites run on: the brokers, and one trained and signed bundle a test session."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

from models.verify import VerifiedBundle, verify_bundle
from tests.support.alertmanager import AlertmanagerServer, AlertmanagerUnavailable
from tests.support.broker import Broker
from tests.support.elastic import ElasticServer, ElasticUnavailable
from tests.support.embedded import embedded_broker
from tests.support.kafka import KafkaServer, KafkaUnavailable
from tests.support.prometheus import PrometheusUnavailable, Pushgateway, program
from tests.support.s3 import S3Server, S3Unavailable, build
from tests.support.secured import SecuredKafka
from tests.support.site import Site, make_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser


settings.register_profile("cardiosentry", deadline=None)  # a busy machine is no failure: nothing here is timed
settings.load_profile("cardiosentry")


def cannot_run(reason: str, what: str = "real Kafka") -> NoReturn:
    """Skip the test and say why; under CI=true fail it, since a suite that skips itself proves nothing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}: {reason}", pytrace=False)
    pytest.skip(f"{what}: {reason}")


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


@pytest.fixture(scope="session")
def alertmanager() -> Iterator[AlertmanagerServer]:
    """A real Alertmanager, one for the whole run; use a service (a group of workers) of your own on it."""
    try:
        server = AlertmanagerServer()
    except AlertmanagerUnavailable as error:
        cannot_run(str(error), "real Alertmanager")
    with server:
        yield server


@pytest.fixture(scope="session")
def secured() -> Iterator[SecuredKafka]:
    """A real Kafka with TLS, users and access rights, one for the whole run; use users and topics of your own on it."""
    server = SecuredKafka()
    try:
        server.start()
    except KafkaUnavailable as error:
        cannot_run(str(error))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def elastic() -> Iterator[ElasticServer]:
    """A real Elasticsearch, one for the whole run; use a topic prefix of your own on it, and leave it running."""
    try:
        with ElasticServer() as server:
            yield server
    except ElasticUnavailable as error:
        cannot_run(str(error), "real Elasticsearch")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A real S3 server, one for the whole run; use buckets of your own on it."""
    try:
        build()
    except S3Unavailable as error:
        cannot_run(str(error), "real S3")
    with S3Server() as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, for the tests of a file; use contexts of your own in it.

    Not for the whole run: while Playwright is there the thread has a running event loop, and tests that run one fail.
    """
    from tests.support.console import BrowserUnavailable, chromium  # Playwright is loaded by who looks

    with ExitStack() as stack:
        try:
            found = stack.enter_context(chromium())
        except BrowserUnavailable as error:
            cannot_run(str(error), "browser")
        yield found


@pytest.fixture(scope="session")
def pushgateway() -> Iterator[Pushgateway]:
    """A real Pushgateway, one for the whole run; push into groups of your own."""
    try:
        program("prometheus-pushgateway", "prometheus-pushgateway")
    except PrometheusUnavailable as error:
        cannot_run(str(error), "Pushgateway")
    with Pushgateway() as server:
        yield server


@pytest.fixture(scope="session")
def promtool() -> str:
    """What checks and tests rules."""
    try:
        return program("promtool", "prometheus")
    except PrometheusUnavailable as error:
        cannot_run(str(error), "promtool")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Keys and a signed model for the whole run; change copies of them."""
    return make_site(tmp_path_factory.mktemp("site"))


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


@dataclass(frozen=True)
class Trained:
    """A bundle, its key pair and the digest that training reported."""

    bundle: Path
    private_key: Path
    public_key: Path
    digest: str
    progress: tuple[str, ...]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A bundle trained and signed for this session; change copies of it."""
    from models.sign import generate_signing_key
    from models.train import train_bundle  # scikit-learn takes its time: only who trains waits for it

    directory = tmp_path_factory.mktemp("trained")
    private_key, public_key = generate_signing_key(directory / "keys")
    steps: list[str] = []
    digest = train_bundle(directory / "bundle", private_key, progress=steps.append)
    return Trained(directory / "bundle", private_key, public_key, digest, tuple(steps))


@pytest.fixture(scope="session")
def verified(trained: Trained) -> VerifiedBundle:
    """The same bundle, verified."""
    return verify_bundle(trained.bundle, trained.public_key)
