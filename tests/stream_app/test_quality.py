"""Outcomes unlike what the scores let expect are found, named and told once; those that are like it are not."""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest

from contracts.alerts import Alert
from contracts.detection import Outcomes, Signals
from contracts.heart_disease import HEART_DISEASE
from contracts.reference import ALL, OUTCOME_STATISTICS, ReferenceStatistics
from contracts.topics import MODEL_ALERTS, SIGNALS
from models.dataset import load_dataset
from models.population import Population
from models.scorer import Scorer
from models.sketch import Sketch, Sketcher
from models.verify import VerifiedBundle
from stream_app.detectors.change import DetectorState
from stream_app.detectors.quality import QualityDetector, QualityFinding
from stream_app.detectors.quality_watch import QualityWatch
from stream_app.detectors.rules import load_rules
from stream_app.detectors.watch import Watch
from stream_app.model_slot import LoadedModel
from stream_app.watching import SignalPipeline
from tests.contracts.test_alerts import assert_ecs
from tests.producers.support import AT_MS
from tests.stream_app.support import NOW_MS, Wire, batch_of, loaded

SPACING = 1000.0
Change = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


class Stream:
    """Windows of outcomes of patients that the calibration did not draw."""

    def __init__(self, verified: VerifiedBundle, seed: int) -> None:
        assert verified.manifest.reference_statistics
        self.reference: ReferenceStatistics = verified.manifest.reference_statistics
        self.bins = len(self.reference.outcomes.positive)
        self._bins_of = Sketcher(self.reference.columns).score_bins
        self._score = Scorer(verified).score
        self._patients = load_dataset().distinct()
        self._population = Population(HEART_DISEASE, self._patients.x, self._patients.site)
        self._rng = np.random.default_rng([seed, 98])

    def windows(self, count: int, change: Change | None = None, events: int = 20) -> Iterator[Sketch]:
        """Yield windows; `change` gets outcomes and bins, and returns other outcomes."""
        rows = self._population.rows(count * events, self._rng)
        values = self._population.visits(rows, self._rng)
        bins = self._bins_of(self._score(values.astype(np.float32)).astype(np.float64))
        outcomes = self._patients.y[rows]
        if change:
            outcomes = change(outcomes, bins, self._rng)
        for at in range(0, count * events, events):
            part = slice(at, at + events)
            seen = np.bincount(bins[part], minlength=self.bins)
            ones = np.bincount(bins[part], outcomes[part], self.bins).astype(int)
            yield Sketch(events, (*seen.tolist(), *ones.tolist()))


@pytest.fixture
def stream(verified: VerifiedBundle) -> Stream:
    return Stream(verified, seed=1)


@pytest.mark.parametrize("statistic", [ALL, *OUTCOME_STATISTICS])
def test_false_alarms_come_about_as_seldom_as_was_asked_for(stream: Stream, statistic: str) -> None:
    """4,000 windows at a spacing of 50: 80 alarms are due; 3 standard deviations of a Poisson number are 27."""
    detector = QualityDetector(stream.reference, 50, statistic=statistic)
    alarms = sum(bool(detector.update(window)) for window in stream.windows(4000))
    assert 53 <= alarms <= 107


def denied(outcomes: np.ndarray, _: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(len(outcomes)) < 0.3, 0, outcomes)


def turned(outcomes: np.ndarray, _: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(len(outcomes)) < 0.3, 1 - outcomes, outcomes)


def found_early(outcomes: np.ndarray, bins: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Disease among patients of low scores alone."""
    return np.where((bins < 3) & (rng.random(len(outcomes)) < 0.4), 1, outcomes)


@pytest.mark.parametrize(
    ("change", "statistics"),
    [
        (denied, {"calibration", "brier", "specificity", "bins"}),
        (turned, {"slope", "brier", "bins", "specificity"}),
        (found_early, {"sensitivity", "slope", "bins", "brier", "calibration"}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_change_of_what_scores_mean_is_found_and_named(stream: Stream, change: Change, statistics: set[str]) -> None:
    detector = QualityDetector(stream.reference, SPACING)
    for window in stream.windows(100):
        detector.update(window)
    found: list[QualityFinding] = []
    for window in stream.windows(60, change):
        found = found or detector.update(window)
    assert {each.statistic for each in found} <= statistics
    first = found[0]
    assert first.windows_by_chance >= first.threshold > SPACING
    assert 0 <= first.since_window < 160
    assert change is not denied or first.positives < first.expected_positives
    assert first.seen_performance.brier > first.estimated_performance.brier
    assert first.estimated_performance.brier == pytest.approx(first.expected_performance.brier, abs=0.05)


def test_other_patients_of_the_same_meaning_raise_nothing(verified: VerifiedBundle) -> None:
    """Three times as many of high scores: drift's to tell, not quality's."""
    stream = Stream(verified, seed=4)
    expected = np.array(stream.reference.outcomes.positive)
    rng = np.random.default_rng(3)
    shares = np.linspace(1, 3, stream.bins) / np.linspace(1, 3, stream.bins).sum()
    detector = QualityDetector(stream.reference, 10_000)
    for _ in range(1000):
        seen = rng.multinomial(20, shares)
        assert detector.update(Sketch(20, (*seen.tolist(), *rng.binomial(seen, expected).tolist()))) == []


def test_a_detector_goes_on_where_another_one_was(stream: Stream) -> None:
    whole, parts = (QualityDetector(stream.reference, SPACING) for _ in range(2))
    for at, window in enumerate(stream.windows(150)):
        if at % 40 == 0:
            state = msgspec.json.decode(msgspec.json.encode(parts.state), type=DetectorState)
            parts = QualityDetector(stream.reference, SPACING, state=state)
        assert whole.update(window) == parts.update(window)
    assert whole.state == parts.state


@pytest.fixture(scope="module")
def champion(verified: VerifiedBundle) -> LoadedModel:
    return loaded(verified)


@pytest.fixture(scope="module")
def records(verified: VerifiedBundle, champion: LoadedModel) -> list[Signals]:
    """Two sources' outcomes, 40 a second: four calm minutes, then two in which many a disease is denied."""
    stream, found = Stream(verified, seed=2), list[Signals]()
    for change, seconds in ((None, 240), (denied, 120)):
        windows = list(stream.windows(2 * seconds, change))
        for one, other in zip(windows[::2], windows[1::2], strict=True):
            sources = {"ward/1": list(one.totals), "ward/2": list(other.totals)}
            at_ms = AT_MS + 1000 * len(found)
            found.append(Signals(at_ms, {}, outcomes=[Outcomes(champion.bundle.digest, sources)]))
    return found


def watch(champion: LoadedModel | None) -> QualityWatch:
    return QualityWatch(load_rules().quality, lambda: champion, 30)


def see(watching: QualityWatch, records: list[Signals]) -> list[Alert]:
    return [alert for record in records for alert in watching.see(record)]


def test_a_calm_stream_raises_nothing_and_a_changed_one_one_alert_with_numbers(
    champion: LoadedModel, records: list[Signals]
) -> None:
    assert see(watch(champion), records[:240]) == []
    (alert,) = see(watch(champion), records)
    assert (alert.rule.id, alert.event.dataset) == ("quality", "cardiosentry.model")
    assert_ecs(msgspec.json.decode(msgspec.json.encode(alert)))
    labels = alert.labels
    assert labels["model"] == champion.bundle.digest
    assert int(labels["positives"]) < float(labels["expected_positives"])
    assert float(labels["seen_precision"]) < float(labels["estimated_precision"])
    assert "ward" not in " ".join(labels.values())  # of all sources


def test_figures_say_how_good_the_model_is_by_the_last_outcomes(champion: LoadedModel, records: list[Signals]) -> None:
    watching = watch(champion)
    assert watching.figures() is None
    see(watching, records[:240])
    calm = watching.figures()
    assert calm is not None
    assert 1000 <= calm.events <= 2000
    assert calm.performance.sensitivity == pytest.approx(0.9, abs=0.1)
    assert max(calm.distances.values()) < 1
    see(watching, records[240:])
    denied = watching.figures()
    assert denied is not None
    assert denied.performance.precision < calm.performance.precision - 0.1
    assert denied.distances["calibration"] > 1


def test_there_is_no_opinion_on_another_model_nor_of_what_is_no_sum_of_its_bins(
    champion: LoadedModel, records: list[Signals]
) -> None:
    assert see(watch(None), records) == []
    other = [msgspec.structs.replace(each, outcomes=[Outcomes("sha256:other", {"a": [1, 0]})]) for each in records]
    assert see(watch(champion), other) == []
    wrong = [msgspec.structs.replace(each, outcomes=[Outcomes(champion.bundle.digest, {"a": [9]})]) for each in records]
    assert see(watch(champion), wrong) == []


def test_quality_goes_to_model_alerts(champion: LoadedModel, records: list[Signals]) -> None:
    pipeline = SignalPipeline(lambda: Watch(load_rules(), lambda: champion, 30), lambda *_: (), lambda: 0.0)
    values = [Wire(b"signals", msgspec.json.encode(each)) for each in records]
    result = pipeline(batch_of(values, topic=SIGNALS.name), NOW_MS)
    ((key, _),) = result.outputs[MODEL_ALERTS.name]
    assert (key or b"").decode() == champion.bundle.digest
    assert result.alerts["quality"] == 1
