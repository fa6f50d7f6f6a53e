"""The parts of the benchmarks that can be wrong without anybody seeing it in a table."""

import doctest
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks import events, memory, stats
from benchmarks.contenders import CONTENDERS, Contender, Place, command_of
from benchmarks.environments import PEERS, ROOT, pinned_version
from benchmarks.events import EventMaker, event_id, sequence_of
from benchmarks.measure import Measurement
from benchmarks.stats import latencies_ms, rate, ratio
from benchmarks.throughput import summarise, table
from contracts.codec import decoder
from contracts.events import IDENTIFIER_PATTERNS, event_type
from contracts.features import RangeCheck, to_row
from contracts.heart_disease import HEART_DISEASE
from contracts.settings import load_settings

OURS = [contender for contender in CONTENDERS if contender.name.startswith("cardiosentry")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place("localhost:9092", "bench-", "group", tmp_path / "bundle", tmp_path / "keys", tmp_path)


def test_every_event_that_is_sent_is_one_that_a_worker_takes() -> None:
    maker, decode, out_of_range = EventMaker(), decoder(event_type(HEART_DISEASE)), RangeCheck(HEART_DISEASE)
    for sequence in (0, 1, 999, 10**9):
        key, value = maker.record(sequence, 1_700_000_000_000)
        event = decode(value)
        features = {name: getattr(event.features, name) for name in HEART_DISEASE.names}  # type: ignore[attr-defined]
        assert event.patient_id.encode() == key
        for name, pattern in IDENTIFIER_PATTERNS.items():
            assert re.fullmatch(pattern, getattr(event, name))
        assert out_of_range(np.array([to_row(HEART_DISEASE, features)])) == {}
        assert 250 < len(value) < 400


def test_event_ids_differ_and_tell_their_number() -> None:
    ids = [event_id(sequence) for sequence in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert [sequence_of(each) for each in ids] == list(range(10_000))


@pytest.mark.parametrize("contender", OURS, ids=lambda contender: contender.name)
def test_our_contenders_are_started_with_settings_that_exist(contender: Contender, place: Place) -> None:
    _, environ = command_of(contender, place)
    settings = load_settings(None, environ, {})
    assert settings.require_mac == (contender.input == "signed")
    assert settings.delivery.replace("-", " ") == contender.guarantee


@pytest.mark.parametrize("peer", [contender.peer for contender in CONTENDERS if contender.peer])
def test_a_peer_computes_with_the_versions_that_we_do(peer: str) -> None:
    ours = (ROOT / "requirements-dev.lock").read_text()
    for package in ("msgspec", "numpy", "onnxruntime"):
        assert f"{package}=={pinned_version(peer, package)} " in ours
    assert "--hash=sha256:" in (PEERS / f"{peer}.lock").read_text()


def test_latency_counts_from_when_an_event_was_due_not_from_when_it_was_sent() -> None:
    stalled_for_a_second = np.full(1000, 1_000_000_000)
    found = latencies_ms(np.arange(1000), stalled_for_a_second, start_ns=0, per_s=1000)
    assert found.max() == 1000
    assert np.median(found) == pytest.approx(500, abs=1)


def test_a_rate_needs_the_whole_quota() -> None:
    with pytest.raises(ValueError, match="expected at least 10 records, got 9"):
        rate(np.arange(9), quota=10, warm_up=1)


def test_a_ratio_of_someone_who_did_not_run_is_none() -> None:
    assert ratio([{"a": 1.0}], "a", "floor") is None


def test_the_table_holds_medians_and_ratios_of_one_round_each() -> None:
    def run(events_per_s: float) -> Measurement:
        return Measurement(
            events=10, events_per_s=events_per_s, cpu_us_per_event=5, broker_cpu_us_per_event=None, duplicates=0
        )

    rounds = [
        {"floor": run(100), "cardiosentry": run(90)},
        {"floor": run(300), "cardiosentry": run(240)},
        {"floor": run(200), "cardiosentry": run(170)},
    ]
    summary = summarise(rounds, CONTENDERS[:2])

    assert [row["events_per_s"] for row in summary] == [200, 170]
    assert [row["of_floor"] for row in summary] == [1, 0.85]
    assert table(summary).row_count == 2


@pytest.mark.parametrize("module", [events, memory, stats], ids=lambda module: module.__name__)
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
