"""The arithmetic that every drift detector of the benchmark is judged by."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers.drift_job import Floats, Task, judged, spacing_of, tuned


def watch(stream: Floats, threshold: float) -> int | None:
    """Alarm at the first value that reaches the threshold."""
    found = np.flatnonzero(stream[:, 0] >= threshold)
    return int(found[0]) if len(found) else None


@pytest.fixture
def task(tmp_path: Path) -> Task:
    rng = np.random.default_rng(1)
    drifted = np.zeros((4, 50, 1))
    drifted[0, 12] = drifted[1, 10] = 9  # found 3 and 1 events after the change
    drifted[2, 5] = 9  # an alarm before the change; the last one is never found
    arrays: dict[str, Any] = {
        "reference": np.zeros((5, 1)),
        "clean": rng.exponential(size=(500, 40, 1)),
        "spacing": np.array(100),
        "change": np.full(4, 10),
        "to nine": drifted,
    }
    np.savez(tmp_path / "task.npz", **arrays)
    return Task(tmp_path / "task.npz")


def test_the_spacing_counts_the_streams_without_an_alarm() -> None:
    streams = np.zeros((3, 10, 1))
    streams[0, 4] = 1
    assert spacing_of(watch, streams, 1) == (25, 1)


def test_a_threshold_is_tuned_to_the_spacing(task: Task) -> None:
    """One in a hundred values of an exponential distribution is over log(100) = 4.6."""
    assert tuned(watch, task, 0, 20) == pytest.approx(np.log(100), abs=0.3)


def test_a_delay_is_counted_from_the_change_and_a_false_alarm_says_nothing(task: Task) -> None:
    assert judged(watch, task, 9)["delays"] == {"nine": [3, 1, None]}
