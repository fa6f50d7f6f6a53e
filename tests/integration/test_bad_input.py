"""Whatever cannot be used goes to quarantine with its reason and origin, and costs the others nothing."""

import hashlib
import json
import random
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import pytest

from contracts.topics import EVENTS
from producers.malformed import spoil
from producers.malformed_cases import CASES, LARGEST
from producers.sign import Signer
from producers.sources import SourceRecord
from stream_app.quarantine import MAX_COPY_BYTES, frame
from tests.integration.stream import Outputs, Patients, Stream
from tests.support.broker import Broker
from tests.support.process import run_command
from tests.support.serving import Serving
from tests.support.site import Site

GARBAGE = 5000
ALL_CASES = (*CASES, LARGEST)


class Mixed(NamedTuple):
    """Every malformed case between good events, sent and worked off."""

    stream: Stream
    good: list[SourceRecord]
    bad: dict[str, SourceRecord]  # by place, "partition/offset", in the order of ALL_CASES
    outputs: Outputs

    def origins(self) -> list[str]:
        return [f"{self.stream.prefix}{EVENTS.name}/{place}" for place in self.bad]


@pytest.fixture(scope="module")
def stream(kafka: Broker, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    prefix = kafka.topics("bad")
    with Serving(site, kafka.bootstrap, prefix, tmp_path_factory.mktemp("bad") / "log") as serving:
        serving.start().wait_until_ready()
        yield Stream(kafka, prefix)
        assert not serving.exits(), serving.text()


@pytest.fixture(scope="module")
def mixed(stream: Stream, site: Site) -> Mixed:
    signer, rng = Signer(site.keyring), random.Random(1)
    events = Patients(site, seed=5).events(3 * len(ALL_CASES))
    good = events[len(ALL_CASES) :]
    bad = [spoil(case, rng, event) for case, event in zip(ALL_CASES, events, strict=False)]
    bad = [record if record.headers is not None else signed(signer, record) for record in bad]
    places = stream.produce(list(chain(*zip(good[0::2], bad, good[1::2], strict=True))))
    return Mixed(stream, good, dict(zip(places[1::3], bad, strict=True)), stream.outputs())


def test_each_malformed_record_is_quarantined_for_its_reason_where_it_stood_and_nothing_else_is(mixed: Mixed) -> None:
    assert mixed.outputs.reasons == {place: record.expected for place, record in mixed.bad.items()}


def test_all_good_events_between_malformed_ones_are_scored_once(mixed: Mixed) -> None:
    assert sorted(mixed.outputs.event_ids) == sorted(event.event_id for event in mixed.good)


def test_size_and_digest_are_of_the_whole_record_and_the_largest_ones_copy_is_cut(mixed: Mixed) -> None:
    quarantined = dict(mixed.outputs.quarantined)
    for place, record in mixed.bad.items():
        whole = frame(record.key, record.value)
        assert quarantined[place].size == len(whole)
        assert quarantined[place].digest == f"sha256:{hashlib.sha256(whole).hexdigest()}"
    largest = quarantined[list(mixed.bad)[-1]]
    assert largest.size > 1_000_000
    assert MAX_COPY_BYTES < largest.sealed_bytes < MAX_COPY_BYTES + 100


def test_reviewers_read_the_original_bytes_of_all_the_origins_they_ask_for(mixed: Mixed, site: Site) -> None:
    shown = run(mixed.stream, "quarantine", "show", *mixed.origins(), "--keys", str(site.keys))
    for origin, record in zip(mixed.origins(), mixed.bad.values(), strict=True):
        key, value = record.key or b"", record.value or b""
        part = shown.split(f"{origin}  ", 1)[1].split("\n\n", 1)[0]
        assert part.startswith(f"{record.expected}\n")
        assert f"\n  key   {key!r}\n" in part
        assert f"\n  value {value[: MAX_COPY_BYTES - 4 - len(key)]!r}" in part
    assert shown.count("\n  value ") == len(mixed.bad)


def test_an_origin_that_is_not_in_quarantine_is_named(mixed: Mixed, site: Site) -> None:
    missing = f"{mixed.stream.prefix}{EVENTS.name}/0/999999"
    arguments = ["quarantine", "show", missing, "--keys", str(site.keys), *address(mixed.stream)]
    done = run_command(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {missing}: expected ")


def test_tail_tells_reasons_and_origins_of_quarantined_records_and_nothing_of_their_content(mixed: Mixed) -> None:
    printed = run(mixed.stream, "tail", "quarantine", "--beginning", "-n", str(len(mixed.bad)))
    lines = [json.loads(line) for line in printed.splitlines()]
    expected = {origin: record.expected for origin, record in zip(mixed.origins(), mixed.bad.values(), strict=True)}
    assert {line["cs-origin"]: line["cs-reason"] for line in lines} == expected
    for content in ("pp1_", "MRN-", "Jane", "bmi", "synthetic", "xxxx", "MSH"):
        assert content not in printed
    for event in mixed.good:
        assert event.event_id not in printed


def test_a_stream_of_nothing_but_garbage_is_worked_off_and_the_next_event_is_scored(
    mixed: Mixed, stream: Stream, site: Site
) -> None:
    rng = random.Random(2)
    garbage = [garbage_record(rng) for _ in range(GARBAGE)]
    places = stream.produce(garbage)
    outputs = stream.outputs()
    assert outputs.reasons.keys() == set(places)
    assert not outputs.predictions

    (event,) = Patients(site, seed=6).events(1)
    stream.produce([event])
    assert stream.outputs().event_ids == [event.event_id]


def garbage_record(rng: random.Random) -> SourceRecord:
    value = rng.choice(
        [
            None,
            b"",
            rng.randbytes(rng.randrange(1, 500)),
            rng.randbytes(rng.randrange(1, 200)).hex().encode(),
            b'{"event_id":' * rng.randrange(1, 50),
            b"[]",
            b"null",
            b"{}",
        ]
    )
    headers = [("cs-mac", rng.randbytes(3)), ("cs-key-id", rng.randbytes(8))] if rng.random() < 0.2 else []
    key = rng.choice([None, b"", rng.randbytes(20)])
    return SourceRecord(topic=EVENTS, key=key, value=value, source="", headers=list(headers))


def signed(signer: Signer, record: SourceRecord) -> SourceRecord:
    return SourceRecord(
        topic=record.topic,
        key=record.key,
        value=record.value,
        source=record.source,
        headers=signer.headers(record.source, record.key, record.value),
        expected=record.expected,
    )


def address(stream: Stream) -> list[str]:
    return ["--bootstrap", stream.bootstrap, "--topic-prefix", stream.prefix]


def run(stream: Stream, *arguments: str) -> str:
    done = run_command(*arguments, *address(stream))
    assert done.returncode == 0, done.stderr
    return done.stdout
