"""The parts of the benchmarks that can be wrong without anybody seeing it in a table."""

import doctest
import re
import shutil
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks import events, memory, shadows, signing, stats
from benchmarks.contenders import CONTENDERS, Contender, Place, command_of
from benchmarks.environments import PEERS, ROOT, pinned_version
from benchmarks.events import EventMaker, event_id, sequence_of
from benchmarks.measure import Measurement
from benchmarks.report import bars
from benchmarks.rounds import interleave
from benchmarks.shadows import Trial
from benchmarks.signing import Timed
from benchmarks.stats import latencies_ms, rate, ratio
from benchmarks.throughput import summarise, table
from contracts.codec import decoder
from contracts.events import IDENTIFIER_PATTERNS, event_type
from contracts.features import RangeCheck, to_row
from contracts.heart_disease import HEART_DISEASE
from contracts.settings import load_settings
from models.bundle import max_bytes
from tests.conftest import Trained

OURS = [
    *(contender for contender in CONTENDERS if contender.name.startswith("cardiosentry")),
    *(shadows.contender(count, 0.5) for count in shadows.COUNTS),
]


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


def run(events_per_s: float) -> Measurement:
    return Measurement(
        events=10, events_per_s=events_per_s, cpu_us_per_event=5, broker_cpu_us_per_event=None, duplicates=0
    )


def test_contenders_run_in_turn_after_a_run_that_does_not_count() -> None:
    ran: list[str] = []

    def once(name: str) -> int:
        ran.append(name)
        return len(ran)

    rounds = interleave({name: partial(once, name) for name in "ab"}, rounds=2, told=str)
    assert ran == ["a", "a", "b", "a", "b"]
    assert rounds == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]


def test_bars_stand_from_top_to_bottom_as_in_the_table() -> None:
    (axes,) = bars(["a", "b"], [2, 1], [1, 1], [4, 2], ours=[True, False], what="events per second").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert axes.yaxis_inverted()


def test_a_shadow_benchmark_compares_with_no_shadows_of_the_same_round() -> None:
    contenders = [shadows.contender(count, 0.5) for count in (0, 3)]
    none, three = (contender.name for contender in contenders)
    rounds = [
        {none: Trial(run(100), None), three: Trial(run(50), 0.4)},
        {none: Trial(run(200), None), three: Trial(run(160), 0.6)},
        {none: Trial(run(300), None), three: Trial(run(180), 0.5)},
    ]
    summary = shadows.summarise(rounds, contenders)
    assert [(row["of_none"], row["scored"]) for row in summary] == [(1, None), (0.6, 0.5)]
    assert shadows.table(summary, 0.5).row_count == 2


def test_whoever_signs_the_other_verifies_and_a_failure_is_told(trained: Trained, tmp_path: Path) -> None:
    bundle = shutil.copytree(trained.bundle, tmp_path / "bundle")
    signing.fill(bundle, 1)
    commands = signing.commands_on(bundle, trained.private_key.parent)
    rounds = [{name: signing.timed(command) for name, command in commands.items()}]
    assert {name for name, found in rounds[0].items() if found.cpu_s > 0} == set(signing.TITLES)
    assert signing.table(signing.summarise(rounds), 1).row_count == len(commands)

    (bundle / "further-0.bin").write_bytes(b"others")
    with pytest.raises(RuntimeError, match="expected the bytes that were signed"):
        signing.timed(commands["verify"])


def test_ours_is_compared_with_the_command_that_does_the_same() -> None:
    seconds = {"sha256": 1.0, "sign": 4.0, "verify": 6.0, "model-signing-sign": 2.0, "model-signing-verify": 3.0}
    summary = signing.summarise([{name: Timed(each, 0.0) for name, each in seconds.items()}])
    assert {row["name"]: (row["of_floor"], row["of_model_signing"]) for row in summary} == {
        "sha256": (1, None),
        "sign": (4, 2),
        "verify": (6, 2),
        "model-signing-sign": (2, None),
        "model-signing-verify": (3, None),
    }


def test_a_large_bundle_keeps_to_the_limit_of_a_file() -> None:
    assert max_bytes("further-0.bin") >= signing.MAX_FILE_MB * 10**6


def test_the_table_holds_medians_and_ratios_of_one_round_each() -> None:
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
