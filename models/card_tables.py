"""Rows and cells of the model card: a figure with its interval, over some of the patients."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.dataset import Dataset
from models.evaluate import Predictions
from models.fit import Vector
from models.metrics import FIGURES, Interval, auc, figures, resample, summarise

Rows = npt.NDArray[np.int64]
"""Indices of the patients that a row of a table is about."""

HEADS = {"auc": "AUC", "brier": "Brier", "npv": "NPV"} | {
    name: name for name in FIGURES if name not in ("auc", "brier", "npv")
}


def figure_row(
    title: str,
    patients: Dataset,
    rows: Rows,
    repeats: Sequence[Predictions],
    seed: int,
    *,
    names: Sequence[str] = FIGURES,
) -> list[str]:
    """Return a row of figures over `rows`, the mean over `repeats`, with intervals."""
    counts = resample(len(rows), seed)
    found = [figures(counts, patients.y[rows], one.probability[rows], one.positive[rows]) for one in repeats]
    shown = {name: show(summarise(np.mean([one[name] for one in found], axis=0))) for name in names}
    if title == "Majority class" and "auc" in shown:
        shown["auc"] = "0.5 by definition"
    return [title, *shown.values()]


def _auc_samples(patients: Dataset, rows: Rows, repeats: Sequence[Predictions], seed: int) -> Vector:
    counts = resample(len(rows), seed)
    found: Vector = np.mean([auc(counts, patients.y[rows], one.probability[rows]) for one in repeats], axis=0)
    return found


def auc_interval(patients: Dataset, rows: Rows, repeats: Sequence[Predictions], seed: int) -> Interval:
    return summarise(_auc_samples(patients, rows, repeats, seed))


def auc_difference(
    patients: Dataset, rows: Rows, ours: Sequence[Predictions], theirs: Sequence[Predictions], seed: int
) -> Interval:
    """Return how much higher our AUC is, on the same resamples."""
    return summarise(_auc_samples(patients, rows, ours, seed) - _auc_samples(patients, rows, theirs, seed))


def verdict(
    patients: Dataset, rows: Rows, ours: Sequence[Predictions], theirs: Sequence[Predictions], seed: int
) -> str:
    found = auc_difference(patients, rows, ours, theirs, seed)
    verdict = (
        "higher" if found.low > 0 else "lower" if found.high < 0 else "neither better nor worse than chance explains"
    )
    return f"{show(found, signed=True)}: {verdict}"


def show(interval: Interval, *, signed: bool = False) -> str:
    if np.isnan(interval.value):
        return "none"
    form = "+.3f" if signed else ".3f"
    return f"{interval.value:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
