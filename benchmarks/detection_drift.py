"""Drift: how far apart false alarms are, for each statistic and all together, and how soon changes are found.

All contenders of the second part get the same streams, and a threshold with the same spacing of false alarms on the
same clean ones. Delays are in events and do not depend on the machine; costs do.
"""

import argparse
import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from functools import reduce
from itertools import cycle, islice, repeat
from operator import add
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.drift_streams import BEFORE, Floats, Scenarios, Score
from benchmarks.environments import CACHE, PEERS, ROOT, pinned_version, python_of
from benchmarks.peers.drift_job import Task, judged
from benchmarks.report import RESULTS, WIDTH, context, write_json
from contracts.codec import decoder
from contracts.events import event_type
from contracts.heart_disease import HEART_DISEASE
from models.calibrate import make_reference
from models.dataset import Dataset, load_dataset
from models.export import INPUT_NAME, OUTPUT_NAME, export_onnx
from models.fit import fit
from models.population import Population
from models.reference import ALL, WINDOW_EVENTS, ReferenceStatistics
from models.session import open_session
from models.sketch import Sketch, Sketcher
from producers.synthetic import SyntheticPatients
from stream_app.detectors.drift import DriftDetector

SEED = 20
SPACING = 2000  # events between false alarms, of all contenders
AFTER = 2000  # events after the change at most
_PEERS = {"river": "river", "evidently": "evidently", "alibi": "alibi-detect"}
_BLOCK = 1000  # windows
RHYTHM = (1, 1, 1, 2, 3, 4, 5, 5, 5, 4, 3, 2)
"""A day for a detector that counts events, when windows are closed by time: 20 events at night, 100 at noon. While a
window is closed when it is full, no rate and no rhythm of rates reaches the detector at all."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alarms", type=int, default=400, help="of each statistic and setting (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=10, help="of each scenario (default: %(default)s)")
    parser.add_argument("--peers", nargs="*", default=list(_PEERS), choices=list(_PEERS))
    parser.add_argument("--parts", nargs="*", default=["calibration", "delays"], choices=["calibration", "delays"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    patients = load_dataset().distinct()
    score, threshold = _scorer(patients)
    document: dict[str, Any] = {"benchmark": "detection_drift", **context("none"), "seed": SEED}
    console = Console(width=WIDTH)
    for part in options.parts:
        if part == "calibration":
            reference = _reference(patients, score, threshold)
            found: dict[str, Any] = calibration(reference, score, options.alarms)
            console.print(calibration_table(found))
        else:
            found = delays(score, threshold, options.streams, options.peers)
            console.print(delay_table(found))
        document = {**document, part: found}
        console.print(write_json(options.results, f"detection_drift_{part}", document))


def calibration(reference: ReferenceStatistics, score: Score, alarms: int) -> dict[str, Any]:
    """Return {stream: {setting: {statistic: [alarms, measured / set spacing]}}}."""
    every = (ALL, *DriftDetector(reference, 50).names)
    some = (ALL, "age", "chol", "thal", "score", "missing", "features", "joint")
    returning = "10,000 patients who return"
    found: dict[str, Any] = {}
    for name, values, merged, settings, statistics in (
        (returning, _returning(10_000), (1,), (50, 100), every),
        ("200,000 patients", _returning(200_000), (1,), (50,), every),
        ("2,000 patients who return", _returning(2_000), (1,), (50,), some),
        (f"{returning}, a day's rhythm", _returning(10_000), RHYTHM, (50,), some),
        (f"{returning}, windows of 200", _returning(10_000), (10,), (50,), some),
        ("the training rows, not smoothed", _real_rows(), (1,), (50,), some),
    ):
        found[name] = spacings(reference, score, values, merged, settings, statistics, alarms)
    found["patients of the other half of the data"] = _held_out(alarms)
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
        block = _windows(sketcher, score, next(values), merged)
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


def _windows(sketcher: Sketcher, score: Score, values: Floats, merged: tuple[int, ...]) -> list[Sketch]:
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


def _returning(patients: int) -> Iterator[Floats]:
    """Yield blocks of visits by synthetic patients; after five blocks come those of another seed."""
    decode = decoder(event_type(HEART_DISEASE))
    seed = 1000
    while True:
        seed += 1
        source = SyntheticPatients(pseudonym_key=bytes(32), seed=seed, patients=patients)
        for _ in range(5):
            events = [decode(record.value or b"") for record in source.take(_BLOCK * WINDOW_EVENTS, 0)]
            rows = [msgspec.structs.astuple(event.features) for event in events]  # type: ignore[attr-defined]
            yield np.array(rows, dtype=np.float64)


def _real_rows() -> Iterator[Floats]:
    """Yield real rows drawn at random: heaped values that the smoothing spreads stay heaped."""
    patients = load_dataset().distinct().x.astype(np.float64)
    rng = np.random.default_rng([SEED, 9])
    while True:
        yield patients[rng.integers(len(patients), size=_BLOCK * WINDOW_EVENTS)]


def _held_out(alarms: int) -> dict[str, Any]:
    """Return as `spacings`, for a reference and model of one half of the patients and streams of the other half."""
    patients = load_dataset().distinct()
    half = np.random.default_rng([SEED, 10]).permutation(len(patients)) < len(patients) // 2
    mine, theirs = patients.take(half), patients.take(~half)
    score, threshold = _scorer(mine)
    reference = _reference(mine, score, threshold)
    population = Population(HEART_DISEASE, theirs.x, theirs.site)
    rng = np.random.default_rng([SEED, 11])
    values = (population.draw(_BLOCK * WINDOW_EVENTS, rng) for _ in repeat(None))
    statistics = (ALL, "age", "chol", "score", "features", "joint")
    return spacings(reference, score, values, (1,), (50,), statistics, alarms // 4)


def delays(score: Score, threshold: float, streams: int, peers: list[str]) -> dict[str, Any]:
    """Return what `benchmarks.peers.drift_job.judged` says of each contender."""
    scenarios = Scenarios(score, SEED)
    reference = _reference(scenarios.home, score, threshold)
    before = BEFORE + scenarios.rng.integers(40, size=streams)
    length = BEFORE + 40 + AFTER
    arrays: dict[str, Any] = {
        "reference": scenarios.reference(),
        "clean": np.array([scenarios.clean(length) for _ in range(2 * streams)]),
        "change": before,
        "spacing": np.array(SPACING),
    }
    for name, change in scenarios.changes().items():
        arrays[f"to {name}"] = np.array([scenarios.drifted(change, int(at), length - int(at)) for at in before])
    with TemporaryDirectory(prefix="cardiosentry-bench-") as scratch:
        task = Path(scratch) / "task.npz"
        np.savez(task, **arrays)
        found: dict[str, Any] = {"CardioSentry": _ours(Task(task), reference)}
        for peer in peers:
            version = pinned_version(peer, _PEERS[peer])
            found |= {f"{name} {version}": each for name, each in _judged_by(peer, task).items()}
        found["dummy, at random"] = _dummy(Task(task))
    return found


def _judged_by(peer: str, task: Path) -> dict[str, Any]:
    """Return a peer's results; they are made anew when its streams, script or lock are new, which can take minutes."""
    script = PEERS / f"drift_{peer}.py"
    parts = (task, script, PEERS / "drift_job.py", PEERS / f"{peer}.lock")
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    out = CACHE / f"drift_{peer}-{digest[:16]}.json"
    if not out.exists():
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([python_of(peer), script, task, out], check=True, env=environ)
    found: dict[str, Any] = msgspec.json.decode(out.read_bytes())
    return found


def _ours(task: Task, reference: ReferenceStatistics) -> dict[str, Any]:
    """Our detector at the spacing that was asked for, not tuned on the clean streams; sketches are part of its cost."""
    sketcher = Sketcher(reference.columns)
    events = reference.window_events

    def watch(stream: Floats, threshold: float) -> int | None:
        detector = DriftDetector(reference, threshold / events)
        for end in range(events, len(stream) + 1, events):
            rows = stream[end - events : end]
            if detector.update(sketcher.sketch(rows[:, :-1], rows[:, -1])):
                return end - 1
        return None

    return judged(watch, task, float(SPACING))


def _dummy(task: Task) -> dict[str, Any]:
    rng = np.random.default_rng([SEED, 12])

    def watch(stream: Floats, _: float) -> int | None:
        at = int(rng.geometric(1 / SPACING)) - 1
        return at if at < len(stream) else None

    return judged(watch, task, 0.0)


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


def delay_table(found: dict[str, Any]) -> Table:
    names = list(found)
    table = Table("median delay in events", *names)
    for scenario in found[names[0]]["delays"]:
        table.add_row(scenario, *(_median(found[name]["delays"][scenario]) for name in names))
    table.add_row("spacing of false alarms", *(f"{found[name]['spacing']:.0f}" for name in names))
    table.add_row("µs an event", *(f"{found[name]['us_per_event']:.1f}" for name in names))
    return table


def _median(delays: list[int | None]) -> str:
    """Return the median, what was not found counting as later than all, and how many were not found."""
    if not delays:
        return "none left"
    middle = float(np.median([np.inf if each is None else each for each in delays]))
    missed = sum(each is None for each in delays)
    shown = "not found" if np.isinf(middle) else f"{middle:.0f}"
    return f"{shown} ({missed} of {len(delays)} missed)" if missed else shown


def _scorer(patients: Dataset) -> tuple[Score, float]:
    """Return a model of these patients and its threshold."""
    model = fit(patients.x, patients.y, SEED)
    session = open_session(export_onnx(model, HEART_DISEASE))

    def score(values: Any) -> Any:
        return session.run([OUTPUT_NAME], {INPUT_NAME: values})[0].reshape(-1)

    return score, model.threshold


def _reference(patients: Dataset, score: Score, threshold: float) -> ReferenceStatistics:
    return make_reference(HEART_DISEASE, patients.x, patients.y, patients.site, score, threshold, SEED)


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s")
