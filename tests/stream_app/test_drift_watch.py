"""Drift as a worker sees it: clean patients raise nothing, others do, once, wherever the batches are cut."""

import json
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from contracts.alerts import Alert
from contracts.detection import Part, Signals
from contracts.reference import ReferenceStatistics
from contracts.releases import Baseline
from contracts.topics import MODEL_ALERTS, SIGNALS
from models.verify import VerifiedBundle
from stream_app.batch import Batch
from stream_app.detectors.drift_watch import DriftWatch
from stream_app.detectors.rules import load_rules
from stream_app.detectors.watch import Watch
from stream_app.detectors.windows import OfModel, WindowsState
from stream_app.model_slot import LoadedModel, Models
from stream_app.watching import SignalPipeline
from tests.contracts.test_alerts import assert_ecs
from tests.producers.support import AT_MS, synthetic
from tests.stream_app.support import NOW_MS, Wire, batch_of, edited, loaded, pipeline_of, wire
from tests.support.reference import made_up_reference


@pytest.fixture(scope="module")
def champion(verified: VerifiedBundle) -> LoadedModel:
    return loaded(verified)


def signals(champion: LoadedModel, *, older: int = 0, seconds: int, seed: int, start_s: int = 0) -> list[Signals]:
    """Return the signals of a worker, a batch of 40 patients a second, each so many years older than they are."""
    pipeline = pipeline_of(Models(champion))
    source = synthetic(seed)
    found = []
    for second in range(start_s, start_s + seconds):
        records = source.take(40, AT_MS)
        if older:
            ages = [json.loads(record.value or b"")["features"]["age"] for record in records]
            records = [edited(r, features={"age": min(119, age + older)}) for r, age in zip(records, ages, strict=True)]
        ((_, value),) = pipeline(batch_of(list(map(wire, records))), NOW_MS).outputs[SIGNALS.name]
        told = msgspec.json.decode(value, type=Signals)
        found.append(msgspec.structs.replace(told, at=AT_MS + second * 1000))
    return found


def watch(champion: LoadedModel | None, days: float = 30) -> DriftWatch:
    return DriftWatch(load_rules().drift, lambda: champion, days)


def see(watching: DriftWatch, records: list[Signals]) -> list[Alert]:
    return [alert for record in records for alert in watching.see(record)]


@pytest.fixture(scope="module")
def clean(champion: LoadedModel) -> list[Signals]:
    return signals(champion, seconds=240, seed=5)


@pytest.fixture(scope="module")
def aged(champion: LoadedModel) -> list[Signals]:
    return signals(champion, older=8, seconds=120, seed=6, start_s=240)


def test_patients_like_those_of_the_reference_raise_nothing(champion: LoadedModel, clean: list[Signals]) -> None:
    assert see(watch(champion), clean) == []


def test_older_patients_are_told_of_once_with_the_shares_that_show_it(
    champion: LoadedModel, clean: list[Signals], aged: list[Signals]
) -> None:
    (alert,) = see(watch(champion), [*clean, *aged])
    assert alert.rule.id == "drift"
    assert alert.event.dataset == "cardiosentry.model"
    assert alert.labels["model"] == champion.bundle.digest
    assert "age" in f"{alert.labels['statistic']} {alert.labels['columns']}"
    assert_ecs(json.loads(msgspec.json.encode(alert)))
    assert int(alert.labels["events"]) < 40 * 120


def test_there_is_no_opinion_without_the_champion_its_reference_or_a_minute_of_windows(
    champion: LoadedModel, aged: list[Signals]
) -> None:
    assert see(watch(None), aged) == []
    assert see(watch(champion), aged[:55]) == []
    other = [msgspec.structs.replace(each, part=Part("sha256:other", 40, [0] * 9)) for each in aged]
    assert see(watch(champion), other) == []


def test_figures_are_of_the_last_thousand_events_and_say_which_feature_is_far(
    champion: LoadedModel, clean: list[Signals], aged: list[Signals]
) -> None:
    watching = watch(champion)
    assert watching.figures() is None
    see(watching, clean[:50])
    early = watching.figures()
    assert early is not None
    assert (early[0].events, early[0].distances) == (2000, {})  # there is no detector before a minute
    see(watching, clean[50:])
    calm = watching.figures()
    assert calm is not None
    assert max(calm[0].distances.values()) < 1
    assert 1000 <= calm[0].events <= 2000
    assert calm[0].performance.brier == pytest.approx(calm[1].brier, abs=0.05)
    see(watching, aged)
    after = watching.figures()
    assert after is not None
    assert after[0].distances["age"] > 1 > after[0].distances["sex"]  # though it was told, and the detector began anew
    assert after[1] == calm[1]


def test_parts_add_up_to_the_same_windows_however_they_came(
    champion: LoadedModel, clean: list[Signals], aged: list[Signals]
) -> None:
    def halves() -> Iterator[Signals]:
        for each in [*clean, *aged]:
            part = each.part
            assert part is not None
            none = Part(part.digest, 0, [0] * len(part.totals))
            yield msgspec.structs.replace(each, part=none)
            yield each

    whole = see(watch(champion), [*clean, *aged])
    assert see(watch(champion), list(halves())) == whole


@pytest.mark.parametrize("taken_over_at", [0, 1, 59, 61, 120, 241, 250, 260])
def test_drift_is_told_as_it_would_be_without_a_takeover(
    champion: LoadedModel, clean: list[Signals], aged: list[Signals], taken_over_at: int
) -> None:
    def taken_over(watching: DriftWatch) -> DriftWatch:
        state = msgspec.msgpack.encode(watching.state)
        other = watch(champion)
        other.restore(msgspec.msgpack.decode(state, type=OfModel[WindowsState] | None))
        return other

    records = [*clean, *aged]
    one, whole = watch(champion), watch(champion)
    told = see(one, records[:taken_over_at])
    other = taken_over(taken_over(one))
    told += see(other, records[taken_over_at:])
    assert told == see(whole, records)
    assert other.figures() == whole.figures()


def test_a_state_of_another_model_or_form_is_none(
    champion: LoadedModel, clean: list[Signals], aged: list[Signals]
) -> None:
    one = watch(champion)
    see(one, clean[:100])
    state = one.state
    assert state is not None
    windows, detector = state.state, state.state.detector
    assert detector is not None
    (size, bucket), *buckets = detector.buckets
    empty = msgspec.structs.replace(bucket, events=0)
    short = msgspec.structs.replace(bucket, totals=bucket.totals[1:])
    changed = (((size, empty), *buckets), ((size, short), *buckets), ((size, bucket),) * 100)
    forms = (
        msgspec.structs.replace(windows, window_ms=0.0),
        msgspec.structs.replace(windows, window=short),
        msgspec.structs.replace(windows, recent=(short,)),
        *(msgspec.structs.replace(windows, detector=msgspec.structs.replace(detector, buckets=b)) for b in changed),
    )
    others = (OfModel("sha256:other", windows), OfModel(state.digest, windows, baseline=1))
    for strange in (*others, *(OfModel(state.digest, each) for each in forms)):
        other = watch(champion)
        other.restore(strange)
        assert see(other, [*clean, *aged]) == see(watch(champion), [*clean, *aged])


def with_baseline(champion: LoadedModel, version: int, statistics: ReferenceStatistics | None = None) -> LoadedModel:
    """Return the champion with a baseline, by default one that says what its bundle says."""
    made = Baseline(
        digest=champion.bundle.digest,
        version=version,
        created_at=AT_MS,
        reason="a test",
        statistics=statistics or champion.bundle.manifest.reference_statistics,
    )
    return replace(champion, baseline=made)


def made_by(records: list[Signals], version: int) -> list[Signals]:
    """Return the signals as of parts that were made by this baseline."""
    parts = [msgspec.structs.replace(each.part, baseline=version) for each in records if each.part]
    return [msgspec.structs.replace(each, part=part) for each, part in zip(records, parts, strict=True)]


def test_a_worker_says_by_which_baseline_it_made_its_part(champion: LoadedModel) -> None:
    own = signals(champion, seconds=2, seed=5)
    assert signals(with_baseline(champion, 3), seconds=2, seed=5) == made_by(own, 3) != own


def test_a_worker_sketches_by_the_columns_of_its_baseline(champion: LoadedModel) -> None:
    (told,) = signals(with_baseline(champion, 1, made_up_reference()), seconds=1, seed=5)
    assert told.part is not None
    assert len(told.part.totals) == 3 * 15 + 78
    assert sum(told.part.totals[:3]) == 40


@pytest.mark.parametrize("version", [0, 2])
def test_parts_by_another_reference_than_the_champions_count_for_nothing(
    champion: LoadedModel, clean: list[Signals], aged: list[Signals], version: int
) -> None:
    watching = watch(with_baseline(champion, 1))
    others = made_by(aged, version)
    assert see(watching, others) == []
    (alert,) = see(watching, [*made_by(clean, 1), *others, *made_by(aged, 1)])
    assert alert.labels["baseline"] == "1"
    assert alert == see(watch(with_baseline(champion, 1)), [*made_by(clean, 1), *made_by(aged, 1)])[0]


def test_what_was_gathered_before_a_baseline_is_not_held_against_the_stream_after_it(
    champion: LoadedModel, clean: list[Signals], aged: list[Signals]
) -> None:
    watching = watch(champion)
    told = next(at for at, each in enumerate([*clean, *aged]) if watching.see(each))
    before, (last,) = [*clean, *aged][:told], made_by([[*clean, *aged][told]], 1)
    models = [champion]
    watching = DriftWatch(load_rules().drift, lambda: models[0], 30)
    assert see(watching, before) == []
    models[0] = with_baseline(champion, 1)
    assert see(watching, [last]) == []


def test_drift_goes_to_model_alerts(champion: LoadedModel, clean: list[Signals], aged: list[Signals]) -> None:
    values = [msgspec.json.encode(each) for each in [*clean, *aged]]
    history: list[Batch] = []
    pipeline = SignalPipeline(lambda: Watch(load_rules(), lambda: champion, 30), lambda *_: history, lambda: 0.0)
    result = pipeline(batch_of([Wire(b"signals", value) for value in values], topic=SIGNALS.name), NOW_MS)
    ((key, value),) = result.outputs[MODEL_ALERTS.name]
    assert (key or b"").decode() == champion.bundle.digest
    assert result.alerts["drift"] == 1
    assert "features" not in json.loads(value)
    assert np.isclose(sum(float(part.rpartition(":")[2]) for part in shares(value)), 1, atol=0.01)


def shares(alert: bytes) -> list[str]:
    labels = json.loads(alert)["labels"]
    (name, *_) = [name for name in labels if name.startswith("seen_")]
    found: list[str] = labels[name].split(" ")
    return found
