"""Comparing a candidate with a champion of the same recipe: how often it is refused, with and without shared patients.

A fifth of the 918 patients is held out. *New to both*: candidate and champion learnt from a half of the others each.
*Known to the champion*: the candidate learnt from all others, the champion from these and the held-out ones too; this
is what the gate does not compare, and here is why. Both models are of one recipe, so that none should be refused.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.report import RESULTS, WIDTH, caption, context, write_json
from models.dataset import load_dataset
from models.fit import FittedModel, fit
from models.metrics import RESAMPLES, auc, resample_patients
from models.pipeline.champion import Champion, ChampionPolicy, compare
from models.pipeline.rows import Rows
from models.pipeline.training import hold_out
from models.train import DEFAULT_SEED

NEW, KNOWN = "new to both", "known to the champion"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="splits of the patients (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    made, console = context(None), Console(width=WIDTH)
    data = load_dataset().distinct()
    rows = Rows(data.x, data.y, data.site, np.arange(len(data)))
    everybody = _fit(rows)
    found: dict[str, list[tuple[float, bool]]] = {NEW: [], KNOWN: []}
    for seed in range(options.seeds):
        others, held_out = (rows.take(part) for part in hold_out(rows, 0.2, seed))
        halves = [_fit(others.take(part)) for part in hold_out(others, 0.5, seed)]
        found[NEW].append(_compared(halves[0], halves[1], held_out, seed))
        found[KNOWN].append(_compared(_fit(others), everybody, held_out, seed))
    table = Table("held-out patients", "AUC lost, mean", "5% to 95%", "refused")
    results: dict[str, Any] = {}
    for name, each in found.items():
        lost, refused = np.array([one[0] for one in each]), sum(one[1] for one in each)
        low, high = np.percentile(lost, [5, 95])
        results[name] = {"lost": lost.round(4).tolist(), "refused": refused, "of": len(each)}
        table.add_row(name, f"{lost.mean():.3f}", f"{low:.3f} to {high:.3f}", f"{refused} of {len(each)}")
    console.print(table)
    console.print(caption(made), style="dim")
    console.print(
        write_json(options.results, "champion_comparison", {"benchmark": "champion_comparison", **made, **results})
    )


def _fit(rows: Rows) -> FittedModel:
    return fit(rows.x, rows.y, DEFAULT_SEED)


def _compared(candidate: FittedModel, champion: FittedModel, held_out: Rows, seed: int) -> tuple[float, bool]:
    """Return how much AUC the candidate lost, and whether a gate that compares them on all these rows refuses it."""
    counts = resample_patients(held_out.y, held_out.group, seed, RESAMPLES)
    ours, theirs = candidate.probability(held_out.x), champion.probability(held_out.x)
    as_if_new = Champion(champion.probability, champion.threshold, frozenset())
    checks = compare(ours, candidate.threshold, held_out, counts, as_if_new, ChampionPolicy())
    lost = auc(counts[:1], held_out.y, theirs) - auc(counts[:1], held_out.y, ours)
    return float(lost[0]), any(check.verdict == "fail" for check in checks)


if __name__ == "__main__":
    main()
