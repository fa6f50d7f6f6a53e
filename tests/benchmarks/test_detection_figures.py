"""What the benchmarks of detection count and draw, on cases whose answer is known."""

from typing import Any

import numpy as np
import pytest

from benchmarks.anomaly_scores import CLEAN, figures_of, on_grades
from benchmarks.drift_clock import days_of
from benchmarks.drift_delays import AFTER, OURS, delay_plot, delay_table
from contracts.heart_disease import HEART_DISEASE
from models.dataset import load_dataset
from models.population import Population
from models.verify import VerifiedBundle


def test_an_attack_is_told_apart_by_what_came_after_it_began_alone() -> None:
    attack = np.zeros(CLEAN + 4000, dtype=np.bool_)
    attack[CLEAN::4] = True
    scores = np.where(attack, 2.0, 1.0)
    scores[:CLEAN] = 9
    assert figures_of(scores, attack) == {"auc": 1.0, "seen": 1.0, "records": 1000}
    assert figures_of(np.ones_like(scores), attack) == {"auc": 0.5, "seen": 0.0, "records": 1000}


def test_the_distance_on_grades_takes_its_moments_from_the_reference(verified: VerifiedBundle) -> None:
    """The mean of a squared Mahalanobis distance is the number of dimensions if mean and covariance are right."""
    assert verified.manifest.reference_statistics
    patients = load_dataset().distinct()
    clean = Population(HEART_DISEASE, patients.x, patients.site).draw(20_000, np.random.default_rng(3))
    distance = on_grades(verified.manifest.reference_statistics)
    assert distance(clean).mean() == pytest.approx(len(HEART_DISEASE.names), rel=0.05)


def test_a_rhythm_moves_events_within_their_day_to_where_it_is_busy() -> None:
    ends = np.array([0.25, 0.5, 1.5, 2.0])
    assert days_of(ends, (1,)).tolist() == ends.tolist()
    assert days_of(ends, (1, 3)).tolist() == pytest.approx([0.5, 2 / 3, 1 + 2 / 3, 2.0])


def test_what_was_not_found_stands_in_table_and_plot_as_later_than_all() -> None:
    found: dict[str, Any] = {
        OURS: {"delays": {"step": [10, 20, 30]}, "spacing": 2000.0, "false_alarms": 7, "us_per_event": 9.0},
        "other": {"delays": {"step": [10, None, None]}, "spacing": 2000.0, "false_alarms": 7, "us_per_event": 9.0},
    }
    shown = list(delay_table(found).columns[1].cells)
    assert shown == ["20", "not found (2 of 3 missed)"]
    (axes,) = delay_plot(found).axes
    assert [line.get_xdata()[0] for line in axes.lines] == [20, AFTER]  # type: ignore[index]
