"""The arithmetic that every drift detector of the benchmark is judged by."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.drift_job import Floats, Task, judged, judged_by_values, load, save, spacing_of, tuned


def watch(stream: Floats, threshold: float) -> int | None:
    """Alarm at the first value that reaches the threshold."""
    found = np.flatnonzero(stream[:, 0] >= threshold)
    return int(found[0]) if len(found) else None


def task(*, every: int = 1, change: int = 10) -> Task:
    rng = np.random.default_rng(1)
    drifted = np.zeros((4, 50, 1))
    drifted[0, 12] = drifted[1, 10] = 9  # found 3 and 1 events after the change
    drifted[2, 5] = 9  # an alarm before the change; the last one is never found
    return Task(
        reference=np.zeros((5, 1)),
        clean=rng.exponential(size=(500, 40, 1)),
        drifted={"nine": drifted},
        change=np.full(4, change),
        spacing=100.0 * every,
        every=every,
    )


def test_the_spacing_counts_the_streams_without_an_alarm() -> None:
    streams = np.zeros((3, 10, 1))
    streams[0, 4] = 1
    one = Task(streams[0], streams, {}, np.zeros(3, dtype=np.int64), spacing=10)
    assert spacing_of(watch, one, 1) == (25, 1)
    windows = Task(streams[0], streams, {}, np.zeros(3, dtype=np.int64), spacing=10, every=20)
    assert spacing_of(watch, windows, 1) == (500, 1)


def test_a_threshold_is_tuned_to_the_spacing() -> None:
    """One in a hundred values of an exponential distribution is over log(100) = 4.6."""
    assert tuned(watch, task(), 0, 20) == pytest.approx(np.log(100), abs=0.3)
    assert tuned(watch, task(every=20), 0, 20) == tuned(watch, task(), 0, 20)


def test_a_delay_is_counted_from_the_change_and_a_false_alarm_says_nothing() -> None:
    assert judged(watch, task(), 9)["delays"] == {"nine": [3, 1, None]}


def test_a_window_tells_when_it_is_full_and_counts_when_any_of_it_is_after_the_change() -> None:
    """Windows of 20 events: the 13th is full at the 260th event, the 6th at the 120th."""
    assert judged(watch, task(every=20, change=205), 9)["delays"] == {"nine": [55, 15, None]}
    assert judged(watch, task(every=20, change=115), 9)["delays"] == {"nine": [145, 105, 5, None]}


def test_values_are_judged_as_their_detector_would_be_at_the_threshold_that_keeps_the_spacing() -> None:
    given = task()
    threshold = tuned(watch, given, 0, 20, steps=30)
    by_values, expected = (
        judged_by_values(lambda stream: iter(stream[:, 0].tolist()), given),
        judged(watch, given, threshold),
    )
    assert by_values["delays"] == expected["delays"]
    assert by_values["spacing"] == pytest.approx(expected["spacing"], rel=0.01)


def test_what_is_written_for_a_peer_is_what_it_reads(tmp_path: Path) -> None:
    save(tmp_path / "task.npz", task(every=20))
    read = load(tmp_path / "task.npz")
    assert (read.every, read.spacing, list(read.drifted)) == (20, 2000.0, ["nine"])
    assert np.array_equal(read.clean, task().clean)
    assert np.array_equal(read.drifted["nine"], task().drifted["nine"])
