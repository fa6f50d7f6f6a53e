"""Drift is found soon, named rightly, seldom where there is none, and the same by whoever goes on for another."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from contracts.heart_disease import HEART_DISEASE
from contracts.reference import ALL, FEATURES, JOINT, MISSING, SCORE, ReferenceStatistics
from models.dataset import load_dataset
from models.population import Population
from models.scorer import Scorer
from models.shift import ShiftStatistics
from models.sketch import Floats, Sketch, Sketcher
from models.verify import VerifiedBundle
from stream_app.detectors.change import DetectorState
from stream_app.detectors.drift import DriftDetector, Finding

SPACING = 1000.0
AGE, SEX, CHOL, THALCH = (HEART_DISEASE.names.index(name) for name in ("age", "sex", "chol", "thalch"))


class Stream:
    """Clean patients that the calibration did not draw, in windows."""

    def __init__(self, verified: VerifiedBundle, seed: int) -> None:
        assert verified.manifest.reference_statistics
        self.reference: ReferenceStatistics = verified.manifest.reference_statistics
        self.sketcher = Sketcher(self.reference.columns)
        self._score = Scorer(verified).score
        patients = load_dataset().distinct()
        self._population = Population(HEART_DISEASE, patients.x, patients.site)
        self._rng = np.random.default_rng([seed, 99])

    def values(self, events: int) -> Floats:
        return self._population.draw(events, self._rng)

    def window(self, values: Floats) -> Sketch:
        return self.sketcher.sketch(values, self._score(values.astype(np.float32)).astype(np.float64))

    def windows(self, count: int, events: int = 20) -> Iterator[Sketch]:
        values = self.values(count * events)
        slots = self.sketcher.slots(values, self._score(values.astype(np.float32)).astype(np.float64))
        for totals in self.sketcher.window_totals(slots, events).astype(np.int64).tolist():
            yield Sketch(events, tuple(totals))


@pytest.fixture
def stream(verified: VerifiedBundle) -> Stream:
    return Stream(verified, seed=1)


@pytest.mark.parametrize("statistic", [ALL, "chol", "ca", SCORE, MISSING, FEATURES, JOINT])
def test_false_alarms_come_about_as_seldom_as_was_asked_for(stream: Stream, statistic: str) -> None:
    """4,000 windows at a spacing of 50: 80 alarms are due; 3 standard deviations of a Poisson number are 27."""
    detector = DriftDetector(stream.reference, 50, statistic=statistic)
    alarms = sum(bool(detector.update(window)) for window in stream.windows(4000))
    assert 53 <= alarms <= 107


def higher_cholesterol(values: Floats) -> None:
    values[:, CHOL] += 60


def no_heart_rate(values: Floats) -> None:
    values[:, THALCH] = np.nan


def women_alone(values: Floats) -> None:
    values[:, SEX] = 0


def age_and_heart_rate_apart(values: Floats) -> None:
    """Each as it was, their dependence gone: the columns are sorted against each other."""
    order = np.argsort(values[:, AGE])
    present = np.sort(values[:, THALCH])
    values[order, THALCH] = present


@pytest.mark.parametrize(
    ("change", "statistic", "column"),
    [
        (higher_cholesterol, "chol", "chol"),
        (no_heart_rate, "thalch", "thalch"),
        (women_alone, "sex", "sex"),
        (age_and_heart_rate_apart, JOINT, "thalch"),
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_a_change_is_found_and_named(stream: Stream, change: object, statistic: str, column: str) -> None:
    assert callable(change)
    detector = DriftDetector(stream.reference, SPACING)
    for window in stream.windows(100):
        detector.update(window)
    before = detector.state.windows
    after, found = 0, dict[str, Finding]()
    while statistic not in found and after < 40:
        after += 1
        values = stream.values(40)
        change(values)
        found = {finding.statistic: finding for finding in detector.update(stream.window(values))}
    assert statistic in found, f"not found within {after} windows"
    finding = found[statistic]
    assert column in finding.columns
    assert finding.windows_by_chance >= finding.threshold > SPACING
    assert finding.since_window + finding.windows == detector.state.windows == before + after
    assert finding.since_window >= before - 20
    for shares in (finding.expected[column], finding.seen[column]):
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert list(finding.seen[column]) == list(finding.expected[column])


def test_after_an_alarm_the_detector_starts_anew(stream: Stream) -> None:
    detector = DriftDetector(stream.reference, SPACING)
    values = stream.values(400)
    higher_cholesterol(values)
    assert detector.update(stream.window(values))
    assert detector.state == DetectorState(windows=1)


def test_a_detector_goes_on_where_another_one_was(stream: Stream) -> None:
    whole = DriftDetector(stream.reference, SPACING)
    windows = list(stream.windows(150))
    parts = DriftDetector(stream.reference, SPACING)
    for at, window in enumerate(windows):
        if at % 40 == 0:
            stored = msgspec.json.encode(parts.state)
            assert len(stored) < 20_000
            state = msgspec.json.decode(stored, type=DetectorState)
            parts = DriftDetector(stream.reference, SPACING, state=state)
        assert whole.update(window) == parts.update(window)
    assert whole.state == parts.state


@pytest.mark.parametrize("events", [20, 60, 300])
def test_scores_mean_the_same_for_windows_of_any_size(stream: Stream, events: int) -> None:
    statistics = ShiftStatistics(stream.reference)
    totals = np.array([window.totals for window in stream.windows(300, events)], dtype=np.float64)
    scores = statistics.scores(totals, np.full(len(totals), float(events)))
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=0.25)  # 4 standard errors
    np.testing.assert_allclose(scores.std(axis=0), 1, atol=0.25)


def test_a_refused_window_leaves_the_detector_as_it_was(stream: Stream) -> None:
    detector = DriftDetector(stream.reference, SPACING)
    (window,) = stream.windows(1)
    detector.update(window)
    before = detector.state
    with pytest.raises(ValueError, match="expected at least 20 events, got 19"):
        detector.update(Sketch(19, window.totals))
    with pytest.raises(ValueError, match=rf"expected {stream.sketcher.size} totals, got 1"):
        detector.update(Sketch(20, (1,)))
    assert detector.state == before


def test_what_cannot_be_asked_for_is_refused(stream: Stream) -> None:
    with pytest.raises(ValueError, match="expected at least 20, got 5"):
        DriftDetector(stream.reference, 5)
    with pytest.raises(ValueError, match=r"expected one of age, .*got 'weight'"):
        DriftDetector(stream.reference, SPACING, statistic="weight")
