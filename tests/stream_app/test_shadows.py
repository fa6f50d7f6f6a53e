"""Models on trial see what the champion saw, cost no more than their share, and harm nothing."""

from dataclasses import replace
from queue import SimpleQueue

import pytest

from contracts.releases import Release
from contracts.topics import PREDICTIONS, SHADOW_PREDICTIONS, SIGNALS
from models.verify import VerifiedBundle
from stream_app.model_slot import Models
from stream_app.shadows import Shadows
from tests.stream_app.support import NOW_MS, Wire, batch_of, good_event, loaded, pipeline_of, predictions, wire


class Clock:
    """A clock that each reading moves on."""

    def __init__(self, *steps_s: float) -> None:
        self._steps = list(steps_s)
        self._now_s = 0.0

    def __call__(self) -> float:
        self._now_s += self._steps.pop(0) if self._steps else 0.0
        return self._now_s


@pytest.fixture
def models(verified: VerifiedBundle) -> Models:
    return Models(loaded(verified), (loaded(verified, role="challenger"), loaded(verified, role="shadow")))


def test_each_answers_for_the_same_events_under_its_own_role(models: Models) -> None:
    good = [wire(good_event(seed)) for seed in (1, 2)]
    result = pipeline_of(models, clock_s=Clock(0, 1))(batch_of([good[0], Wire(None, b"{"), good[1]]), NOW_MS)
    champion = predictions(result.outputs[PREDICTIONS.name])
    on_trial = predictions(result.outputs[SHADOW_PREDICTIONS.name])
    assert [p.role for p in champion] == ["champion"] * 2
    assert [p.role for p in on_trial] == ["challenger"] * 2 + ["shadow"] * 2
    assert [(p.event_id, p.probability) for p in on_trial] == [(p.event_id, p.probability) for p in champion] * 2
    assert [key for key, _ in result.outputs[SHADOW_PREDICTIONS.name]] == [good[0].key, good[1].key] * 2
    assert result.shadows == {"challenger": 2, "shadow": 2}
    assert len(result.quarantined) == 1


def test_without_any_nothing_is_written_of_them(models: Models) -> None:
    result = pipeline_of(replace(models, shadows=()))(batch_of([wire(good_event())]), NOW_MS)
    assert result.outputs.keys() == {PREDICTIONS.name, SIGNALS.name}
    assert result.shadow_skipped == 0


def test_they_take_no_more_than_their_share_and_one_batch(models: Models) -> None:
    """The champion takes 1 s a batch, they take 2: with a share of a half they run every fourth time."""
    ran: list[bool] = []
    clock = Clock(*[0.0, 2.0] * 100)
    shadows = Shadows(0.5, clock, SimpleQueue())
    batch = batch_of([wire(good_event())])
    for _ in range(16):
        assert models.champion
        decoded = models.champion.decoder(batch, NOW_MS)
        ran.append(bool(shadows(models.shadows, decoded, 1.0, NOW_MS)))
    assert ran == [number % 4 == 0 for number in range(16)]


def test_what_was_left_out_is_counted(models: Models) -> None:
    result = pipeline_of(models, share=0.0)(batch_of([wire(good_event())]), NOW_MS)
    assert result.shadow_skipped == 1
    assert result.outputs[SHADOW_PREDICTIONS.name] == []


def test_one_that_raises_is_told_of_and_the_others_go_on(models: Models) -> None:
    def broken_score(*_: object) -> None:
        raise ArithmeticError("NaN")

    assert models.champion
    failed: SimpleQueue[tuple[Release, str]] = SimpleQueue()
    broken = replace(models.shadows[0], score=broken_score)  # type: ignore[arg-type]
    decoded = models.champion.decoder(batch_of([wire(good_event())]), NOW_MS)
    made = Shadows(1.0, lambda: 0.0, failed)([broken, models.shadows[1]], decoded, 1.0, NOW_MS)
    assert [role for role, _ in made] == ["shadow"]
    assert failed.get_nowait() == (broken.release, "ArithmeticError")
    assert failed.empty()
