"""What docker-compose.yml starts comes up, each process with what it mounts alone, and ends when it is told."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cardiosentry
from tests.conftest import cannot_run
from tests.monitoring.panels import queries
from tests.support.alertmanager import AlertmanagerServer
from tests.support.compose import PLAIN, SECURE, initialise, services
from tests.support.composed import Composed, ComposedKafka
from tests.support.elastic import ElasticServer
from tests.support.kafka import KafkaUnavailable
from tests.support.ports import free_ports
from tests.support.prometheus import Prometheus, Pushgateway, all_found
from tests.support.site import Site
from tests.support.tls import tls_before
from tests.support.waiting import wait_for

FOUND_S = 60.0
COLLECTED_S = 180.0  # on a machine that starts everything else meanwhile
RUNNING = ("worker", "notify", "console", "ship", "triggers")


@pytest.fixture
def made(tmp_path: Path, site: Site) -> Path:
    """Return where `deploy.init` was run; its keys are those by which the session's model is signed."""
    into = tmp_path / "made"
    done = initialise(into)
    assert done.exit_code == 0, done.output
    assert {path.name for path in site.keys.iterdir()} == {path.name for path in (into / "secrets/keys").iterdir()}
    shutil.copytree(site.keys, into / "secrets/keys", dirs_exist_ok=True)
    return into


@pytest.fixture(params=["server.properties", "secure.properties"])
def broker(request: pytest.FixtureRequest, made: Path) -> Iterator[ComposedKafka]:
    """A Kafka with the settings of one of the two files."""
    try:
        with ComposedKafka(request.param, made) as server:
            yield server
    except KafkaUnavailable as error:
        cannot_run(str(error))


@pytest.fixture
def elastic_tls(elastic: ElasticServer, made: Path) -> Iterator[str]:
    """Elasticsearch's address by TLS, with the certificate that `deploy.init` made."""
    with tls_before(elastic.address, made / "secrets/elastic.pem", made / "secrets/elastic.key") as address:
        yield address


@pytest.mark.usefixtures("promtool")
def test_everything_comes_up_and_ends(
    broker: ComposedKafka,
    elastic_tls: str,
    alertmanager: AlertmanagerServer,
    pushgateway: Pushgateway,
    site: Site,
    made: Path,
    tmp_path: Path,
) -> None:
    found = services(SECURE if broker.secure else PLAIN)
    first, second, console, *metrics = free_ports(7)
    addresses = {
        **broker.addresses,
        "https://elasticsearch:9200": elastic_tls,
        "http://alertmanager:9093": alertmanager.url,
        "pushgateway:9091": pushgateway.address,
        **{f"--metrics-port={6081 + at}": f"--metrics-port={port}" for at, port in enumerate(metrics)},
        "127.0.0.1:6066": f"127.0.0.1:{first}",
        "127.0.0.1:6067": f"127.0.0.1:{second}",
        "127.0.0.1:6080": f"127.0.0.1:{console}",
    }
    prefix = f"compose-{'secure' if broker.secure else 'plain'}-"
    settings = {
        "CARDIOSENTRY_TOPIC_PREFIX": prefix,  # others use this Elasticsearch too
        "CARDIOSENTRY_WEB_PORT": str(first),
        "CARDIOSENTRY_CONSOLE_PORT": str(console),
    }
    processes = {
        name: Composed(service, tmp_path / "services", made, addresses, settings)
        for name, service in found.items()
        if service.ours and service.arguments[0] not in ("kibana", "rescan")
    }
    with ThreadPoolExecutor() as pool:
        beside = [pool.submit(processes["elastic-setup"].run, "--without-ilm")]  # the server of the tests has none
        if broker.secure:
            names = [user(processes[name]) for name in RUNNING]
            beside.append(pool.submit(broker.make_users, names, tmp_path / "users"))
        processes["topics"].run()
        if broker.secure:
            processes["rights"].run()
        for each in beside:
            each.result()

    assert "made" in processes["elastic-setup"].text()
    on_the_host = administrator(broker, prefix, made, tmp_path / "admin.toml")
    call("release", str(site.bundle), "--role", "champion", "--reason", "a test", *on_the_host)
    with ExitStack() as stack:
        for name in RUNNING:
            stack.enter_context(processes[name].started())
        for name in RUNNING:
            processes[name].wait_until_healthy()
        with Prometheus([("beside", f"127.0.0.1:{port}") for port in metrics]) as prometheus:
            wanted = queries(beside=True)
            wait_for(lambda: all_found(wanted, prometheus), FOUND_S, lambda: f"no figures of a panel for {wanted}")
        retrains = processes["triggers"]
        wait_for(lambda: "gate-1 said no" in retrains.text(), COLLECTED_S, retrains.text)
    collected = next((made / "data/runs").glob("*/collect/report.json")).read_text()  # nothing was sent: too few rows
    assert '"0 rows"' in collected
    processes["ship-gates"].run()
    assert "shipped 6 checks" in processes["ship-gates"].text()  # four of the collection, the gate's, and the verdict


def user(process: Composed) -> str:
    """Return the name of the process that a service is on Kafka."""
    return process.service.environment["CARDIOSENTRY_KAFKA_SASL_USERNAME"].removeprefix("cardiosentry-")


def administrator(broker: ComposedKafka, prefix: str, made: Path, file: Path) -> tuple[str, ...]:
    """Return the options by which a person on the host is who may do everything."""
    properties = dict(broker.admin_properties)
    lines = [
        f'bootstrap = "{properties.pop("bootstrap.servers")}"',
        f'topic_prefix = "{prefix}"',
        f'keys = "{made / "secrets/keys"}"',
        f'store = "{made / "data/store"}"',
        "[kafka]",
        *(f'"{name}" = "{value}"' for name, value in properties.items()),
    ]
    file.write_text("\n".join(lines), "utf-8")
    return "--config", str(file)


def call(*arguments: str) -> None:
    done = CliRunner().invoke(cardiosentry, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
