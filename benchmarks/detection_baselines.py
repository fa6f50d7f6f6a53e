"""How far apart drift's false alarms are once a stream is measured against a baseline of its own.

Each baseline is learned from the first stretch of a stream and held against the rest of that stream, in which nothing
changes. A baseline's own error stays the same for as long as it holds, so each line is of several of them.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.drift_calibration import calibration_table, spacings
from benchmarks.drift_streams import Floats, Score, reference_of, scorer
from benchmarks.report import RESULTS, WIDTH, context, write_json
from contracts.codec import decoder
from contracts.events import Event, event_type
from contracts.heart_disease import HEART_DISEASE
from contracts.reference import ALL, WINDOW_EVENTS, ReferenceStatistics
from models.baseline import make_baseline
from models.dataset import Dataset, load_dataset
from models.event_sample import Events, Integers
from models.population import Population
from producers.synthetic import SyntheticPatients
from stream_app.matrix import to_matrix

SEED = 20
_SPACING = 50  # windows
_BLOCK = 1000 * WINDOW_EVENTS
_STATISTICS = (ALL, "age", "chol", "thal", "score", "missing", "features", "joint")

RETURNING = "10,000 patients who return"
NEW = "200,000 patients"
ROWS = "the training rows, not smoothed"
OTHER_HALF = "patients of the other half of the data"
LINES = ((RETURNING, 5_000), (RETURNING, 50_000), (ROWS, 5_000), (OTHER_HALF, 5_000), (NEW, 600))

Stream = Iterator[Events]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alarms", type=int, default=70, help="due for each baseline (default: %(default)s)")
    parser.add_argument("--baselines", type=int, default=6, help="of each line (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = lines(options.baselines, options.alarms)
    console = Console(width=WIDTH)
    console.print(calibration_table(found))
    document = {"benchmark": "detection_baselines", **context("none"), "seed": SEED, "spacings": found}
    console.print(write_json(options.results, "detection_baselines", document))


def lines(baselines: int, alarms: int) -> dict[str, Any]:
    """Return {line: {setting: {statistic: [alarms, measured / set spacing]}}}."""
    found: dict[str, Any] = {}
    with ProcessPoolExecutor() as pool:  # each baseline stands for itself
        for name, events in LINES:
            counted: dict[str, list[float]] = {each: [0, 0] for each in _STATISTICS}
            tasks = (repeat(name), range(baselines), repeat(events), repeat(alarms))
            for each in pool.map(_measured, *tasks):
                _add(counted, each)
            ratios = {each: [n, windows / max(n, 1) / _SPACING] for each, (n, windows) in counted.items()}
            found[f"{name}, baseline of {events:,} events"] = {str(_SPACING): ratios}
            print(f"{name}, baseline of {events:,} events: {ratios[ALL]}", flush=True)
    return found


def _measured(name: str, seed: int, events: int, alarms: int) -> dict[str, list[float]]:
    """Return as `spacings`, for a baseline of a stream's first `events` and the rest of it."""
    stream, (score, own) = _stream(name, seed), _model(name == OTHER_HALF)
    sample = [next(stream)]
    while sum(map(len, sample)) < events:
        sample.append(next(stream))
    joined = Events(*(np.concatenate([getattr(part, name) for part in sample]) for name in Events.__slots__))
    reference = make_baseline(own, HEART_DISEASE, joined.take(np.arange(events)), score)
    rest = (block.values for block in stream)
    return spacings(reference, score, rest, (1,), (_SPACING,), _STATISTICS, alarms)[str(_SPACING)]


def _stream(name: str, seed: int) -> Stream:
    if name == OTHER_HALF:
        _, theirs = _halves()
        return _drawn(Population(HEART_DISEASE, theirs.x, theirs.site), seed)
    if name == ROWS:
        patients = load_dataset().distinct()
        return _drawn(Population(HEART_DISEASE, patients.x, patients.site, bandwidth=0.0), seed)
    return _visits(10_000 if name == RETURNING else 200_000, seed)


@cache
def _model(half: bool) -> tuple[Score, ReferenceStatistics]:
    """Return what the model answers, trained on all patients or one half of them, and its own reference."""
    patients = _halves()[0] if half else load_dataset().distinct()
    score = scorer(patients.x, patients.y, SEED)
    return score, reference_of(patients, score, SEED)


def _halves() -> tuple[Dataset, Dataset]:
    patients = load_dataset().distinct()
    half = np.random.default_rng([SEED, 10]).permutation(len(patients)) < len(patients) // 2
    return patients.take(half), patients.take(~half)


def _add(counted: dict[str, list[float]], found: dict[str, list[float]]) -> None:
    for name, (alarms, ratio) in found.items():
        counted[name][0] += alarms
        counted[name][1] += ratio * max(alarms, 1) * _SPACING


def _visits(patients: int, seed: int) -> Stream:
    """Yield visits by synthetic patients."""
    decode = decoder(event_type(HEART_DISEASE))
    source = SyntheticPatients(pseudonym_key=bytes(32), seed=5000 + seed, patients=patients)
    while True:
        events: list[Event] = [decode(record.value or b"") for record in source.take(_BLOCK, 0)]
        people = np.array([hash(event.patient_id) for event in events], dtype=np.int64)  # only how many differ counts
        yield _events(to_matrix(events, len(HEART_DISEASE.names)), people)


def _drawn(population: Population, seed: int) -> Stream:
    """Yield rows of a population, each a patient of its own."""
    rng = np.random.default_rng([SEED, 13, seed])
    first = 0
    while True:
        yield _events(population.draw(_BLOCK, rng), np.arange(first, first + _BLOCK, dtype=np.int64))
        first += _BLOCK


def _events(values: Floats, patients: Integers) -> Events:
    ids = np.arange(len(values), dtype=np.int64)
    return Events(ids, patients, ids, np.full(len(values), "", object), values)


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s")
