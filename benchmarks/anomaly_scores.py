"""How well a score of each single event by itself tells attacks that change features from patients, and what it costs.

Whether a detector that learns online earns its place beside plain distances from the signed reference. Streams are
clean synthetic patients with an attack in them; an area under the ROC curve of 0.5 is chance.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from benchmarks.drift_streams import reference_of, scorer
from benchmarks.environments import PEERS, ROOT, pinned_version, python_of
from benchmarks.report import RESULTS, WIDTH, context, write_json
from contracts.codec import decoder
from contracts.events import event_type
from contracts.heart_disease import HEART_DISEASE
from contracts.reference import ReferenceStatistics
from contracts.topics import EVENTS
from models.dataset import Dataset, load_dataset
from models.population import Population
from models.sketch import Sketcher, grades
from models.unlike import Unlike
from producers.attacks.catalogue import ATTACKS
from producers.attacks.source import WithAttack
from producers.synthetic import SyntheticPatients
from stream_app.matrix import to_matrix

Floats = npt.NDArray[np.float64]
Anomaly = Callable[[Floats], Floats]
"""Rows (n, features), NaN where missing, to a score each, (n,): higher is less like a patient."""

SEED = 20
KINDS = ("boundary", "extraction", "membership", "evasion", "trigger")
CLEAN = 3000  # events before the attack, from which what learns online has learned
RARE = 0.001  # of the clean events score as high as the threshold
_CHUNK = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="streams of each attack (default: %(default)s)")
    parser.add_argument("--events", type=int, default=20_000, help="clean ones under attack (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON (default: %(default)s)")
    given = parser.parse_args()
    made = context(None)
    patients = load_dataset().distinct()
    score = scorer(patients.x, patients.y, SEED)
    names = [f"{kind}{pace}" for kind in KINDS for pace in ("", "-slow")]
    streams = {name: [attacked(name, seed, given.events, score) for seed in range(given.seeds)] for name in names}
    found = {name: judged(anomaly, streams) for name, anomaly in contenders(patients, score).items()}
    found |= _river(streams)
    console = Console(width=WIDTH)
    console.print(table(found))
    document = {"benchmark": "anomaly_scores", **made, "seed": SEED, "scores": found}
    console.print(write_json(given.results, "anomaly_scores", document))


def attacked(name: str, seed: int, events: int, score: Any) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the rows of a stream whose attack begins after `CLEAN` events, and which of them are the attack's."""
    clean = SyntheticPatients(pseudonym_key=bytes(32), seed=3000 + seed)
    source = WithAttack(clean, ATTACKS[name], after=CLEAN, seed=seed, score=score)
    decode = decoder(event_type(HEART_DISEASE))
    records = [record for record in source.take(CLEAN + events, 0) if record.topic is EVENTS]
    rows = to_matrix([decode(record.value or b"") for record in records], len(HEART_DISEASE.names))
    return rows, np.array([bool(record.attack) for record in records])


def contenders(patients: Dataset, score: Any) -> dict[str, Anomaly]:
    """Return the scores that need nothing but the training data."""
    reference = reference_of(patients, score, SEED)
    drawn = Population(HEART_DISEASE, patients.x, patients.site).draw(100_000, np.random.default_rng([SEED, 13]))
    mean, sd = np.nanmean(drawn, axis=0), np.nanstd(drawn, axis=0)

    def standardised(rows: Floats) -> Floats:
        found: Floats = np.nan_to_num((rows - mean) / sd)
        return found

    forest = IsolationForest(n_estimators=100, random_state=SEED).fit(standardised(drawn))
    return {
        "ours: Mahalanobis, standardised": Unlike(reference.likeness),
        "Mahalanobis, grades": on_grades(reference),
        "bins' rarity (HBOS)": _rarity(reference),
        "isolation forest, not online": lambda rows: -forest.score_samples(standardised(rows)),
    }


def on_grades(reference: ReferenceStatistics) -> Anomaly:
    """Squared Mahalanobis distance on the grades of models/sketch.py, with what the reference says of their moments."""
    sketcher, columns = Sketcher(reference.columns), reference.columns[:-2]
    grade = np.concatenate([grades(column) for column in columns])
    shares = [np.array(column.shares) for column in columns]
    mean = np.array([share @ grades(column) for share, column in zip(shares, columns, strict=True)])
    second = np.diag([share @ np.square(grades(column)) for share, column in zip(shares, columns, strict=True)])
    pairs = np.triu_indices(len(columns), 1)
    second[pairs] = reference.products
    second.T[pairs] = reference.products
    root = np.linalg.cholesky(np.linalg.inv(second - np.outer(mean, mean)))

    def anomaly(rows: Floats) -> Floats:
        slots = sketcher.slots(rows, np.zeros(len(rows)))[:, : len(columns)]
        found: Floats = np.square((grade.take(slots) - mean) @ root).sum(axis=1)
        return found

    return anomaly


def _rarity(reference: ReferenceStatistics) -> Anomaly:
    """Sum of the surprises of the bins (Goldstein and Dengel, Histogram-based Outlier Score, 2012)."""
    sketcher, columns = Sketcher(reference.columns), reference.columns[:-2]
    surprise = -np.log(np.maximum(np.concatenate([column.shares for column in columns]), 1e-4))

    def anomaly(rows: Floats) -> Floats:
        slots = sketcher.slots(rows, np.zeros(len(rows)))[:, : len(columns)]
        found: Floats = surprise.take(slots).sum(axis=1)
        return found

    return anomaly


Streams = dict[str, list[tuple[Floats, npt.NDArray[np.bool_]]]]


def judged(anomaly: Anomaly, streams: Streams) -> dict[str, Any]:
    """Return the figures of each attack and µs an event, over batches of a thousand."""
    seconds = events = 0.0
    figures = {}
    for name, each in streams.items():
        told = []
        for rows, attack in each:
            started = time.process_time()
            scores = np.concatenate([anomaly(rows[at : at + _CHUNK]) for at in range(0, len(rows), _CHUNK)])
            seconds += time.process_time() - started
            events += len(rows)
            told.append(figures_of(scores, attack))
        figures[name] = told
    return {"attacks": figures, "us_per_event": seconds / events * 1e6}


def figures_of(scores: Floats, attack: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Return the area under the ROC curve since the attack began, and the share of it above the rarest clean events."""
    after, attack = scores[CLEAN:], attack[CLEAN:]
    threshold = np.quantile(after[~attack], 1 - RARE)
    return {
        "auc": float(roc_auc_score(attack, after)),
        "seen": float((after[attack] > threshold).mean()),
        "records": int(attack.sum()),
    }


def _river(streams: Streams) -> dict[str, Any]:
    """Return the figures of river's HalfSpaceTrees, in its own environment."""
    with TemporaryDirectory(prefix="cardiosentry-bench-") as scratch:
        rows, scores = Path(scratch) / "rows.npz", Path(scratch) / "scores.npz"
        arrays = {f"{name}|{at}": each[0] for name, several in streams.items() for at, each in enumerate(several)}
        np.savez(rows, **arrays)  # type: ignore[arg-type]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([python_of("river"), PEERS / "anomaly_river.py", rows, scores], check=True, env=environ)
        with np.load(scores) as file:
            figures = {
                name: [figures_of(file[f"{name}|{at}"], attack) for at, (_, attack) in enumerate(several)]
                for name, several in streams.items()
            }
            cost = float(file["us_per_event"])
    name = f"river HalfSpaceTrees {pinned_version('river', 'river')}, online"
    return {name: {"attacks": figures, "us_per_event": cost}}


def table(found: dict[str, Any]) -> Table:
    """Return the figures of all scores, for people, means of the streams."""
    made = Table("attack", *found, title=f"AUC (share of the attack above all but {RARE:.1%} of the clean events)")
    for attack in next(iter(found.values()))["attacks"]:
        made.add_row(attack, *(_shown(each["attacks"][attack]) for each in found.values()))
    made.add_row("µs an event", *(f"{each['us_per_event']:.2f}" for each in found.values()))
    return made


def _shown(figures: list[dict[str, float]]) -> str:
    auc, seen = (float(np.mean([each[name] for each in figures])) for name in ("auc", "seen"))
    return f"{auc:.2f} ({seen:.0%})"


if __name__ == "__main__":
    main()
