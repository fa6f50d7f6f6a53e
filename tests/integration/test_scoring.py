"""An event goes in, one prediction comes out: with and without a MAC, from any producer, in every compression."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from contracts.mac import MAC_HEADER
from contracts.metrics import METRICS
from producers.sources import SourceRecord
from tests.conftest import cannot_run
from tests.integration.stream import Patients, Stream
from tests.support.broker import Broker
from tests.support.process import ROOT
from tests.support.serving import Serving
from tests.support.site import Site

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class System(msgspec.Struct):
    """A running system and a source of its patients."""

    stream: Stream
    serving: Serving
    patients: Patients


def running(kafka: Broker, site: Site, log: Path, *, require_mac: bool) -> Iterator[System]:
    prefix = kafka.topics("scoring")
    with Serving(site, kafka.bootstrap, prefix, log, require_mac=require_mac) as serving:
        serving.start().wait_until_ready()
        yield System(Stream(kafka, prefix), serving, Patients(site, seed=1 + require_mac))


@pytest.fixture(scope="module")
def lenient(kafka: Broker, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that scores events without a MAC as well."""
    yield from running(kafka, site, tmp_path_factory.mktemp("lenient") / "log", require_mac=False)


@pytest.fixture(scope="module")
def strict(kafka: Broker, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that wants a MAC on every event."""
    yield from running(kafka, site, tmp_path_factory.mktemp("strict") / "log", require_mac=True)


@pytest.fixture(params=["lenient", "strict"])
def either(request: pytest.FixtureRequest) -> System:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, System)
    return found


def test_an_event_without_a_mac_is_scored_once_as_not_authenticated_where_that_is_allowed(lenient: System) -> None:
    (event,) = lenient.patients.unsigned(1)
    lenient.stream.produce([event])
    outputs = lenient.stream.outputs()
    assert outputs.event_ids == [event.event_id]
    assert not outputs.predictions[0].authenticated
    assert not outputs.quarantined


def test_the_documented_kcat_line_gives_one_prediction(lenient: System, tmp_path: Path) -> None:
    if shutil.which("kcat") is None:
        cannot_run("not found on PATH", "kcat")
    stream = lenient.stream
    script = re.search(r"## Publish one event with kcat.*?```sh\n(.*?)```", consuming(), re.DOTALL)
    assert script
    commands = script[1].replace("localhost:9092", stream.bootstrap)
    for topic in ("patient-events", "predictions"):
        commands = commands.replace(f"-t {topic}", f"-t {stream.prefix}{topic}")
    publish, read = commands.split("\nkcat -C")
    subprocess.run(["sh", "-ec", publish], cwd=tmp_path, check=True, timeout=60)

    outputs = stream.outputs()

    assert outputs.event_ids == ["00000000-0000-4000-8000-000000000001"]
    assert not outputs.predictions[0].authenticated
    assert not outputs.quarantined
    printed = subprocess.run(
        ["sh", "-ec", f"kcat -C{read}"], cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True
    ).stdout.splitlines()
    assert [line for line in printed if json.loads(line)["event_id"] == outputs.event_ids[0]]


def test_an_event_without_a_mac_is_quarantined_where_one_is_required(strict: System) -> None:
    places = strict.stream.produce(strict.patients.unsigned(1))
    outputs = strict.stream.outputs()
    assert outputs.reasons == {places[0]: "mac_missing"}
    assert not outputs.predictions


def test_a_signed_event_is_scored_as_authenticated(either: System) -> None:
    events = either.patients.events(20)
    either.stream.produce(events)
    outputs = either.stream.outputs()
    assert sorted(outputs.event_ids) == sorted(event.event_id for event in events)
    assert all(prediction.authenticated for prediction in outputs.predictions)
    assert not outputs.quarantined


def test_a_wrong_mac_is_refused_whether_one_is_required_or_not(either: System) -> None:
    wrong, good = either.patients.events(2)
    places = either.stream.produce([with_wrong_mac(wrong), good])
    outputs = either.stream.outputs()
    assert outputs.reasons == {places[0]: "mac_wrong"}
    assert outputs.event_ids == [good.event_id]


@pytest.mark.parametrize("codec", CODECS)
def test_every_compression_codec_is_read(strict: System, codec: str) -> None:
    events = strict.patients.events(200)
    strict.stream.produce(events, **{"compression.type": codec})
    outputs = strict.stream.outputs()
    assert sorted(outputs.event_ids) == sorted(event.event_id for event in events)
    assert not outputs.quarantined


def test_a_worker_says_that_it_lives_and_is_ready(strict: System) -> None:
    assert strict.serving.get("/health/live") == (200, "ok")
    assert strict.serving.get("/health/ready") == (200, "ok")


def test_every_metric_of_the_catalogue_is_on_the_page_and_no_patient_or_source(strict: System) -> None:
    before = strict.serving.metric("cardiosentry_predictions_total")
    (event,) = strict.patients.events(1)
    (bad,) = strict.patients.unsigned(1)
    strict.stream.produce([event, bad])
    strict.stream.outputs()

    status, page = strict.serving.get("/metrics")

    assert status == 200
    assert strict.serving.metric("cardiosentry_predictions_total") == before + 1
    shown = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    of_workers = {name for name, metric in METRICS.items() if metric.by in ("worker", "watching worker")}
    assert {name for name in shown if not name.startswith("process_")} == of_workers
    for private in ("pp1_", event.source, event.source.split("/", maxsplit=1)[0], event.event_id):
        assert private not in page


def consuming() -> str:
    return (ROOT / "docs" / "consuming.md").read_text("utf-8")


def with_wrong_mac(record: SourceRecord) -> SourceRecord:
    headers = [(name, bytes(16) if name == MAC_HEADER else value) for name, value in record.headers or ()]
    return msgspec.structs.replace(record, headers=headers)
