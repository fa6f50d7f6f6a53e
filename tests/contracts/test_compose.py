"""docker-compose.yml against the project: commands, settings, files, addresses; and how each container is confined."""

import importlib.util
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from contracts.access import PROCESSES
from contracts.settings import Settings, load_settings
from deploy.init import DIRECTORIES
from tests.support.commands import check_command
from tests.support.compose import PLAIN, ROOT, SECURE, Service, initialise, services

_NAMED = {f"{len(files)}-{name}": each for files in (PLAIN, SECURE) for name, each in services(files).items()}
EACH = [pytest.param(service, id=name) for name, service in _NAMED.items()]
OURS = [pytest.param(service, id=name) for name, service in _NAMED.items() if service.ours]

# Where the servers of others listen, as their documentation has it.
LISTENS = {
    "kafka": {19092, 9094},
    "elasticsearch": {9200},
    "kibana": {5601},
    "prometheus": {9090},
    "pushgateway": {9091},
}
LISTENS |= {"alertmanager": {9093}, "grafana": {3000}}

# The processes beside the workers that show metrics.
BESIDE = ("ship", "notify", "console", "triggers")

# What `deploy.init` makes for people on the host, and no container gets.
FOR_PEOPLE = {
    *("keys/reviewers.key", "keys/pseudonym.key", "keys/model-signing.key", "keys/model-signing.pub"),
    *("keys/challenger-signing.pub", "elastic-ca.key", "kafka-ca.key"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory in which `deploy.init` was run."""
    into = tmp_path_factory.mktemp("deploy")
    done = initialise(into)
    assert done.exit_code == 0, done.output
    return into


@pytest.mark.parametrize("file", SECURE)
def test_a_file_is_as_the_specification_of_compose_wants_it(file: str) -> None:
    found = importlib.util.find_spec("check_jsonschema")  # which brings the specification's schema
    assert found
    assert found.submodule_search_locations
    schema = Path(found.submodule_search_locations[0]) / "builtin_schemas/vendor/compose-spec.json"
    jsonschema.validate(yaml.safe_load((ROOT / file).read_text()), json.loads(schema.read_text()))


@pytest.mark.parametrize("service", EACH)
def test_a_container_is_confined(service: Service) -> None:
    given = service.given
    assert given["read_only"] is True
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert given["user"].startswith("${CARDIOSENTRY_UID:?")
    assert set(given["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert given["logging"]["options"].keys() == {"max-size", "max-file"}
    assert given["init"] is True
    forbidden = {
        "privileged",
        "cap_add",
        "devices",
        "network_mode",
        "pid",
        "ipc",
        "userns_mode",
        "env_file",
        "group_add",
    }
    assert not forbidden & given.keys()
    assert not any("docker.sock" in mount.source for mount in service.mounts)
    assert all(port.startswith("127.0.0.1:") for port in given.get("ports", []))


@pytest.mark.parametrize("service", EACH)
def test_a_container_has_a_health_check_or_ends(service: Service) -> None:
    if service.once:
        assert service.given["restart"] == "on-failure:5"
    else:
        assert service.health
        assert {"interval", "timeout", "retries", "start_period"} < service.given["healthcheck"].keys()
        assert service.given["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", EACH)
def test_an_image_is_pinned(service: Service) -> None:
    if service.ours:
        assert service.given["image"] == f"cardiosentry:{version()}"
        assert service.given["pull_policy"] == "never"
    else:
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}", service.given["image"])


def test_one_tag_has_one_digest() -> None:
    """In two files: an update that forgets one would run two versions."""
    text = "\n".join((ROOT / file).read_text() for file in (*SECURE, "Dockerfile"))
    found = set(re.findall(r"([a-z/]+):(\S+)@sha256:([0-9a-f]+)", text))
    assert len({name for name, _, _ in found}) == len(found)


@pytest.mark.parametrize("service", OURS)
def test_what_is_called_exists(service: Service) -> None:
    check_command(service.arguments)
    if service.health:
        assert service.health[0] == "cardiosentry"
        check_command(service.health[1:])


@pytest.mark.parametrize("service", OURS)
def test_what_is_set_in_the_environment_is_a_setting(service: Service) -> None:
    ours = {name: value for name, value in service.environment.items() if name.startswith("CARDIOSENTRY_")}
    load_settings(None, ours, {})
    assert service.environment.keys() - ours.keys() <= {"ELASTIC_USERNAME", "ELASTIC_PASSWORD_FILE"}


def test_each_process_is_the_user_that_has_its_rights() -> None:
    processes = {process.name: process for process in PROCESSES}
    for service in services(SECURE).values():
        user = service.environment.get("CARDIOSENTRY_KAFKA_SASL_USERNAME")
        if user is None:
            administers = {
                "topics",
                "rights",
                "elastic-setup",
                "kibana-setup",
                "ship-gates",
            }  # or has nothing to do with Kafka
            assert not service.ours or service.name in administers
            continue
        process = processes[user.removeprefix("cardiosentry-")]
        assert f"`{service.arguments[0]}`" in process.runs
        password = service.environment["CARDIOSENTRY_SASL_PASSWORD_FILE"]
        assert password == f"/run/secrets/kafka-{process.name}.password"


@pytest.mark.parametrize("service", EACH)
def test_a_file_that_is_named_is_mounted(service: Service, made: Path) -> None:
    targets = {mount.target for mount in (*service.secrets, *service.mounts)}
    text = json.dumps([service.given.get(part) for part in ("command", "entrypoint", "environment", "healthcheck")])
    for path in re.findall(r"/(?:run/secrets|etc/cardiosentry|etc/prometheus|etc/alertmanager)/[\w./-]+", text):
        assert path in targets, path
    for mount in (*service.mounts, *service.secrets):
        if mount.source.endswith((".sh", ".yml", ".properties")) or "provisioning" in mount.source:
            root = made if mount in service.secrets else ROOT
            lines = [line for file in files_of(root / mount.source) for line in file.read_text().splitlines()]
            text = "\n".join(line for line in lines if not line.startswith("#"))
            for path in re.findall(r"/(?:run/secrets|etc/cardiosentry)/[\w-]+(?:\.\w+)?(?![\w*-])", text):
                assert path in targets, path


@pytest.mark.parametrize("service", EACH)
def test_what_is_mounted_is_there(service: Service, made: Path) -> None:
    for mount in service.mounts:
        if mount.source.startswith("./data/"):
            assert mount.source.removeprefix("./data/") in DIRECTORIES
        else:
            assert mount.read_only, mount.source
            assert (ROOT / mount.source).exists(), mount.source
    for secret in service.secrets:
        assert (made / secret.source).is_file(), secret.source


def test_every_directory_of_data_is_mounted() -> None:
    mounted = {mount.source for service in services().values() for mount in service.mounts}
    assert {f"./data/{name}" for name in DIRECTORIES} <= mounted


def test_every_secret_is_for_a_container_or_for_people(made: Path) -> None:
    mounted = {Path(secret.source) for service in services(SECURE).values() for secret in service.secrets}
    there = {path.relative_to(made) for path in (made / "secrets").rglob("*") if path.is_file()}
    assert there - mounted == {Path("secrets", name) for name in FOR_PEOPLE}


@pytest.mark.parametrize(
    ("secret", "holders"),
    [
        ("keys/model-signing.key", set()),
        ("keys/challenger-signing.key", {"triggers"}),
        ("keys/pipeline.key", {"triggers"}),
        ("keys/keyring.toml", {"worker", "triggers"}),
        ("keys/console.token", {"console"}),
        ("elastic.password", {"elasticsearch", "elastic-users", "elastic-setup", "kibana-setup"}),
        ("kafka-admin.pem", {"topics", "kafka-users", "rights"}),
        ("kafka-broker.pem", {"kafka"}),
        ("kafka-worker.password", {"worker", "kafka-users"}),
        ("slack-url", {"alertmanager"}),
    ],
)
def test_a_secret_is_given_to_whom_it_is_for_alone(secret: str, holders: set[str]) -> None:
    found = {
        name for name, each in services(SECURE).items() if f"./secrets/{secret}" in {s.source for s in each.secrets}
    }
    assert found == holders


def test_the_networks_of_data_have_no_way_out() -> None:
    networks = yaml.safe_load((ROOT / PLAIN[0]).read_text())["networks"]
    assert {name for name, given in networks.items() if given.get("internal")} == {"kafka", "back"}
    outside = {name for name, service in services().items() if "out" in service.given["networks"]}
    assert outside == {"triggers", "rescan"}
    for service in services().values():
        assert bool(service.given.get("ports")) == ("front" in service.given["networks"]), service.name


@pytest.mark.parametrize("files", [PLAIN, SECURE], ids=len)
def test_whoever_is_waited_for_is_there(files: tuple[str, ...]) -> None:
    found = services(files)
    for service in found.values():
        for name, how in service.given.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if found[name].once else "service_healthy"
            assert how == {"condition": wanted}, service.name


@pytest.mark.parametrize("files", [PLAIN, SECURE], ids=len)
def test_an_address_is_listened_to_on_a_shared_network(files: tuple[str, ...], made: Path) -> None:
    found = services(files)
    listens = LISTENS | {"worker": worker_ports(), "console": {Settings().console_port}}
    for name in BESIDE:
        listens[name] = listens.get(name, set()) | {metrics_port(name)}
    asked = 0
    for service in found.values():
        text = json.dumps([service.given.get("command"), service.environment])
        for mount in (*service.mounts, *service.secrets):
            if mount.source.endswith((".yml", ".sh", ".properties")) or "provisioning" in mount.source:
                root = made if mount.source.startswith("./secrets") else ROOT
                text += "".join(path.read_text() for path in files_of(root / mount.source))
        for host, port in re.findall(rf"\b({'|'.join(listens)}):(\d+)", text):
            if host != service.name:
                assert int(port) in listens[host], f"{service.name}: {host}:{port}"
                assert set(service.given["networks"]) & set(found[host].given["networks"]) - {"front", "out"}
                asked += 1
    assert asked > 15


def test_a_published_port_is_listened_to() -> None:
    published = {"kafka": {9092}, "console": {Settings().console_port}} | {
        name: ports for name, ports in LISTENS.items() if name not in ("kafka", "pushgateway", "elasticsearch")
    }
    for name, service in services().items():
        assert {int(port.split(":")[-1]) for port in service.given.get("ports", [])} == published.get(name, set())


@pytest.mark.parametrize("name", ["server.properties", "secure.properties"])
def test_the_broker_listens_where_it_says_that_it_does(name: str) -> None:
    text = (ROOT / "deploy/kafka" / name).read_text()
    properties = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    ports = dict(re.findall(r"(\w+)://[\w.]+:(\d+)", properties["listeners"]))
    told = dict(re.findall(r"(\w+)://[\w.]+:(\d+)", properties["advertised.listeners"]))
    assert told.items() <= ports.items()
    assert {int(told["BACK"]), int(told.get("INTERNAL", 9094))} == LISTENS["kafka"]
    assert properties["advertised.listeners"].count("kafka:") == len(told) - 1  # HOST is localhost's
    assert {"./data/kafka:" + properties["log.dirs"]} <= set(services()["kafka"].given["volumes"])


def test_prometheus_scrapes_every_worker(promtool: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "monitoring/prometheus/rules", tmp_path / "rules")
    shutil.copy(ROOT / "deploy/prometheus/prometheus.yml", tmp_path)
    subprocess.run([promtool, "check", "config", "prometheus.yml"], cwd=tmp_path, check=True, timeout=30)
    jobs: dict[str, Any] = {job["job_name"]: job for job in read("deploy/prometheus/prometheus.yml")["scrape_configs"]}
    (group,) = jobs["cardiosentry"]["static_configs"]
    assert group["targets"] == [f"worker:{port}" for port in sorted(worker_ports())]
    (group,) = jobs["beside"]["static_configs"]
    assert group["targets"] == [f"{name}:{metrics_port(name)}" for name in BESIDE]
    asked = [re.findall(r":(\d+)/", page)[0] for page in services()["worker"].health[2:]]
    assert list(map(int, asked)) == sorted(worker_ports())
    ours = {job["job_name"] for job in read("monitoring/prometheus/prometheus.yml")["scrape_configs"]}
    assert jobs.keys() == ours


def test_grafana_finds_its_dashboards_and_their_source() -> None:
    (provider,) = read("deploy/grafana/provisioning/dashboards/cardiosentry.yml")["providers"]
    (mount,) = (each for each in services()["grafana"].mounts if each.target == provider["options"]["path"])
    assert list((ROOT / mount.source).glob("*.json"))
    (source,) = read("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["isDefault"] is True


def test_alertmanager_finds_its_secrets_and_templates() -> None:
    text = (ROOT / "monitoring/alertmanager/alertmanager.yml").read_text()
    service = services()["alertmanager"]
    targets = {mount.target for mount in (*service.mounts, *service.secrets)}
    named = set(re.findall(r"/etc/alertmanager/[\w./-]+", text))
    assert named == targets - {"/etc/alertmanager/alertmanager.yml", "/alertmanager"}


def test_the_shipper_gets_the_documented_rights_and_no_more() -> None:
    documented = json.loads(
        re.findall(r"POST /_security/api_key\n(\{.*?\n\})\n", (ROOT / "docs/shipping.md").read_text(), re.DOTALL)[0]
    )["role_descriptors"]["ship"]
    script = (ROOT / "deploy/elastic/users.sh").read_text()
    assert json.loads(re.findall(r"cardiosentry-ship '(\{.*?\n\})'", script, re.DOTALL)[0]) == documented
    assert services()["ship"].environment["ELASTIC_USERNAME"] in script


@pytest.mark.parametrize(
    "script", sorted((ROOT / "deploy").rglob("*.sh")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_a_script_is_one_that_bash_reads(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert script.read_text().startswith("#!/bin/bash\n")
    assert "\nset -euo pipefail\n" in script.read_text()


def worker_ports() -> set[int]:
    arguments = services()["worker"].arguments
    workers, first = int(arguments[arguments.index("--workers") + 1]), Settings().web_port
    return set(range(first, first + workers))


def metrics_port(service: str) -> int:
    (given,) = [each for each in services()[service].arguments if each.startswith("--metrics-port=")]
    return int(given.partition("=")[2])


def files_of(path: Path) -> list[Path]:
    return [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]


def read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return found


def version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
