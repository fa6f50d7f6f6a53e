"""How far apart false alarms are on clean streams, for each statistic and all together, beside what was set."""

from collections.abc import Iterator
from functools import reduce
from itertools import cycle, islice, repeat
from operator import add
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.drift_streams import Floats, Score, reference_of, scorer
from contracts.codec import decoder
from contracts.events import event_type
from contracts.heart_disease import HEART_DISEASE
from contracts.reference import ALL, WINDOW_EVENTS, ReferenceStatistics
from models.dataset import load_dataset
from models.population import Population
from models.sketch import Sketch, Sketcher
from producers.synthetic import SyntheticPatients
from stream_app.detectors.drift import DriftDetector
from stream_app.matrix import to_matrix

_BLOCK = 1000  # windows
RHYTHM = (1, 1, 1, 2, 3, 4, 5, 5, 5, 4, 3, 2)
"""A day for a detector that counts events, when windows are closed by time: 20 events at night, 100 at noon. While a
window is closed when it is full, no rate and no rhythm of rates reaches the detector at all."""


def calibration(reference: ReferenceStatistics, score: Score, alarms: int, seed: int) -> dict[str, Any]:
    """Return {stream: {setting: {statistic: [alarms, measured / set spacing]}}}."""
    every = (ALL, *DriftDetector(reference, 50).names)
    some = (ALL, "age", "chol", "thal", "score", "missing", "features", "joint")
    returning = "10,000 patients who return"
    found: dict[str, Any] = {}
    for name, values, merged, settings, statistics in (
        (returning, returning_patients(10_000), (1,), (50, 100), every),
        ("200,000 patients", returning_patients(200_000), (1,), (50,), every),
        ("2,000 patients who return", returning_patients(2_000), (1,), (50,), some),
        (f"{returning}, a day's rhythm", returning_patients(10_000), RHYTHM, (50,), some),
        (f"{returning}, windows of 200", returning_patients(10_000), (10,), (50,), some),
        ("the training rows, not smoothed", _real_rows(seed), (1,), (50,), some),
    ):
        found[name] = spacings(reference, score, values, merged, settings, statistics, alarms)
    found["patients of the other half of the data"] = _held_out(alarms, seed)
    return found


def spacings(
    reference: ReferenceStatistics,
    score: Score,
    values: Iterator[Floats],
    merged: tuple[int, ...],
    settings: tuple[int, ...],
    statistics: tuple[str, ...],
    alarms: int,
) -> dict[str, dict[str, list[float]]]:
    """Return {setting: {statistic: [alarms, measured spacing / setting]}} over at least `alarms` due alarms.

    A window is `merged` sketches of the least number of events, in turn.
    """
    sketcher = Sketcher(reference.columns)
    detectors = {(s, n): DriftDetector(reference, s, statistic=n) for s in settings for n in statistics}
    counts = dict.fromkeys(detectors, 0)
    windows = dict.fromkeys(settings, 0)
    while any(windows[setting] < alarms * setting for setting in settings):
        block = windows_of(sketcher, score, next(values), merged)
        for setting in settings:
            if windows[setting] >= alarms * setting:
                continue
            windows[setting] += len(block)
            for name in statistics:
                detector = detectors[setting, name]
                counts[setting, name] += sum(bool(detector.update(window)) for window in block)
    return {
        str(setting): {
            name: [counts[setting, name], windows[setting] / max(counts[setting, name], 1) / setting]
            for name in statistics
        }
        for setting in settings
    }


def windows_of(sketcher: Sketcher, score: Score, values: Floats, merged: tuple[int, ...]) -> list[Sketch]:
    slots = sketcher.slots(values, score(values.astype(np.float32)).astype(np.float64))
    totals = sketcher.window_totals(slots, WINDOW_EVENTS).astype(np.int64).tolist()
    least = iter([Sketch(WINDOW_EVENTS, tuple(row)) for row in totals])
    found = []
    for count in cycle(merged):
        parts = list(islice(least, count))
        if len(parts) < count:
            break
        found.append(reduce(add, parts))
    return found


def returning_patients(patients: int) -> Iterator[Floats]:
    """Yield blocks of visits by synthetic patients; after five blocks come those of another seed."""
    decode = decoder(event_type(HEART_DISEASE))
    seed = 1000
    while True:
        seed += 1
        source = SyntheticPatients(pseudonym_key=bytes(32), seed=seed, patients=patients)
        for _ in range(5):
            events = [decode(record.value or b"") for record in source.take(_BLOCK * WINDOW_EVENTS, 0)]
            yield to_matrix(events, len(HEART_DISEASE.names))


def _real_rows(seed: int) -> Iterator[Floats]:
    """Yield real rows drawn at random: heaped values that the smoothing spreads stay heaped."""
    patients = load_dataset().distinct().x.astype(np.float64)
    rng = np.random.default_rng([seed, 9])
    while True:
        yield patients[rng.integers(len(patients), size=_BLOCK * WINDOW_EVENTS)]


def _held_out(alarms: int, seed: int) -> dict[str, Any]:
    """Return as `spacings`, for a reference and model of one half of the patients and streams of the other half."""
    patients = load_dataset().distinct()
    half = np.random.default_rng([seed, 10]).permutation(len(patients)) < len(patients) // 2
    mine, theirs = patients.take(half), patients.take(~half)
    score = scorer(mine.x, mine.y, seed)
    reference = reference_of(mine, score, seed)
    population = Population(HEART_DISEASE, theirs.x, theirs.site)
    rng = np.random.default_rng([seed, 11])
    values = (population.draw(_BLOCK * WINDOW_EVENTS, rng) for _ in repeat(None))
    statistics = (ALL, "age", "chol", "score", "features", "joint")
    return spacings(reference, score, values, (1,), (50,), statistics, alarms // 4)


def calibration_table(found: dict[str, Any]) -> Table:
    table = Table("stream", "windows set", "alarms of all", "all together", "lowest of the others", "highest")
    for stream, settings in found.items():
        for setting, each in settings.items():
            ratios = {name: ratio for name, (_, ratio) in each.items() if name != ALL}
            low, high = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
            table.add_row(
                stream,
                setting,
                f"{each[ALL][0]:g}",
                f"{each[ALL][1]:.2f}",
                f"{low} {ratios[low]:.2f}",
                f"{high} {ratios[high]:.2f}",
            )
    return table
