"""Poisoned snapshots, backdoors and new sites: what the gates see of them, on real patients.

The 918 patients are split at random, by the seed: one half is trusted, the other is the snapshot that is poisoned. No
clean snapshot is simulated; what is called a false rejection is one of real patients. Writes docs/pipeline-attacks.md.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.environments import ROOT
from benchmarks.pipeline_attacks_text import TEXT
from benchmarks.report import RESULTS, context, write_json
from contracts.features import Matrix
from contracts.heart_disease import HEART_DISEASE
from models.card_tables import table
from models.dataset import load_dataset
from models.evaluate import logistic_regression
from models.export import INPUT_NAME, OUTPUT_NAME, export_onnx
from models.fit import FittedModel, Labels, Vector, fit
from models.pipeline.attacks.backdoor import strongest_activation
from models.pipeline.attacks.labels import label_test
from models.pipeline.attacks.stamps import stamps
from models.pipeline.attacks.suite import AttackPolicy, attack
from models.pipeline.champion import Champion, Scorer
from models.pipeline.rows import Rows
from models.pipeline.training import hold_out
from models.session import open_session

SHARES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.10, 0.15, 0.20)
SIMULATIONS = 99
_POLICY = AttackPolicy()
_PATTERNS: dict[str, dict[str, float]] = {
    "two measurements, unusual": {"trestbps": 137, "thalch": 151},
    "three measurements, usual ones": {"trestbps": 140, "chol": 230, "thalch": 150},
    "one measurement": {"oldpeak": 4.7},
    "three codes": {"restecg": 2, "slope": 3, "fbs": 1},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="of each poisoning (default: %(default)s)")
    parser.add_argument("--models", type=int, default=3, help="fitted for each backdoor (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    console = Console(stderr=True)
    data = load_dataset().distinct()
    rows = Rows(data.x, data.y, data.site, np.arange(len(data)))
    found: dict[str, Any] = {
        "benchmark": "pipeline_attacks",
        **context(None),
        "seeds": options.seeds,
        "models": options.models,
        "labels": labels(rows, options.seeds, console.print),
        "sites": new_sites(rows, options.seeds, console.print),
        "stamps": stamped(rows, options.seeds),
        "backdoors": backdoors(rows, options.models, console.print),
        "candidates": candidates(rows, options.models, console.print),
    }
    console.print(write_json(options.results, "pipeline_attacks", found))
    plot(options.docs / "pipeline-attacks" / "poisoning.svg", found["labels"])
    (options.docs / "pipeline-attacks.md").write_text(text(found), encoding="utf-8")


def flipped(how: str, rows: Rows, share: float, rng: np.random.Generator) -> Rows:
    """Return `rows` with `share` of all labels flipped, of those that `how` allows as many as there are."""
    allowed = {
        "any label": np.arange(len(rows)),
        "ill called healthy": np.flatnonzero(rows.y == 1),
        "healthy called ill": np.flatnonzero(rows.y == 0),
        "one site's labels": np.flatnonzero(rows.site == "Hungary"),
    }
    if how == "the surest labels":
        p = logistic_regression(rows.x, rows.y, rows.x, 1)[0]
        at = np.argsort(-np.where(rows.y == 1, p, 1 - p), kind="stable")[: round(share * len(rows))]
    else:
        at = rng.permutation(allowed[how])[: round(share * len(rows))]
    y = rows.y.copy()
    y[at] = 1 - y[at]
    return Rows(rows.x, y, rows.site, rows.group)


_HOW = ("any label", "ill called healthy", "healthy called ill", "one site's labels", "the surest labels")


def labels(rows: Rows, seeds: int, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return the share of snapshots refused for their labels, by how they were flipped and how many."""
    refused: dict[str, dict[str, list[bool]]] = {how: {} for how in _HOW}
    for seed in range(seeds):
        trusted, snapshot, rng = _halves(rows, seed)
        clean = _refused(trusted, snapshot, seed)
        for how in _HOW:
            refused[how].setdefault("0", []).append(clean)
            for share in SHARES:
                poisoned = flipped(how, snapshot, share, rng)
                refused[how].setdefault(f"{share:g}", []).append(_refused(trusted, poisoned, seed))
        say(f"labels, seed {seed + 1} of {seeds}")
    return {how: {share: float(np.mean(each)) for share, each in by.items()} for how, by in refused.items()}


def new_sites(rows: Rows, seeds: int, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return for each site, kept from the trusted rows, how many snapshots with it are refused, and stamped ones."""
    found: dict[str, dict[str, float]] = {}
    for site in sorted(set(rows.site.tolist())):
        refused: dict[str, list[bool]] = {"new": [], "stamps": [], "a third flipped": []}
        for seed in range(seeds):
            trusted, snapshot, rng = _halves(rows, seed)
            others = trusted.take(trusted.site != site)
            refused["new"].append(_refused(others, snapshot, seed))
            refused["stamps"].append(bool(stamps(HEART_DISEASE, snapshot, _POLICY.poisoning.stamp_surprise)))
            y = snapshot.y.copy()
            at = rng.permutation(np.flatnonzero(snapshot.site == site))
            y[at[: len(at) // 3]] = 1 - y[at[: len(at) // 3]]
            poisoned = Rows(snapshot.x, y, snapshot.site, snapshot.group)
            refused["a third flipped"].append(_refused(others, poisoned, seed))
        found[site] = {name: float(np.mean(each)) for name, each in refused.items()}
        say(f"new site {site}")
    return found


def stamped(rows: Rows, seeds: int) -> dict[str, dict[str, float]]:
    """Return the share of snapshots in which a stamp is told, by pattern and number of stamped rows."""
    found: dict[str, dict[str, float]] = {}
    for name, pattern in _PATTERNS.items():
        for count in (0, 3, 5, 9, 18):
            told = []
            for seed in range(seeds):
                _, snapshot, rng = _halves(rows, seed)
                at = rng.permutation(len(snapshot))[:count]
                x = _stamped(snapshot.x, at, pattern)
                poisoned = Rows(x, snapshot.y, snapshot.site, snapshot.group)
                told.append(bool(stamps(HEART_DISEASE, poisoned, _POLICY.poisoning.stamp_surprise)))
            found.setdefault(name, {})[str(count)] = float(np.mean(told))
    return found


def backdoors(rows: Rows, models: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return what each backdoor does to a model that learnt it, and which gate tells."""
    found = []
    for seed in range(models):
        learnt, held = hold_out(rows, 0.2, seed)
        train, held_out, rng = rows.take(learnt), rows.take(held), np.random.default_rng([seed, 9])
        order = rng.permutation(len(train))
        trusted, fresh = train.take(order[: len(order) // 2]), train.take(order[len(order) // 2 :])
        reference = _model(trusted, seed + 100)
        for name, share in [("none", 0.0)] + [(name, share) for name in _PATTERNS for share in (0.02, 0.05, 0.1)]:
            at = rng.permutation(np.flatnonzero(fresh.y == 1))[: round(share * len(train))]
            y = fresh.y.copy()
            y[at] = 0
            pattern = _PATTERNS.get(name, {})
            poisoned = Rows(_stamped(fresh.x, at, pattern), y, fresh.site, fresh.group)
            whole = trusted.joined(poisoned)
            candidate = _model(whole, seed)
            ill = held_out.x[held_out.y == 1]
            ill = ill[candidate[0](ill) >= candidate[1]]
            marked = _stamped(ill, np.arange(len(ill)), pattern)
            activation = strongest_activation(HEART_DISEASE, whole, held_out, candidate, reference, seed)
            found.append(
                {
                    "pattern": name,
                    "share": share,
                    "seed": seed,
                    "success": float((candidate[0](marked) < candidate[1]).mean()),
                    "excess": None if activation is None else activation.excess,
                    "labels": _refused(trusted, poisoned, seed),
                    "stamps": bool(stamps(HEART_DISEASE, poisoned, _POLICY.poisoning.stamp_surprise)),
                }
            )
            say(f"backdoor {name}, {share:.0%}, model {seed + 1} of {models}")
    return found


def candidates(rows: Rows, models: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return the facts of the attacks on clean candidates, the reference being one that learnt from other patients."""
    found = []
    for seed in range(models):
        learnt, held = hold_out(rows, 0.2, seed)
        train, held_out = rows.take(learnt), rows.take(held)
        model = fit(train.x, train.y, seed)
        reference = _model(
            train.take(np.random.default_rng(seed).permutation(len(train))[: len(train) // 2]), seed + 100
        )
        report = attack(
            HEART_DISEASE,
            _scorer(model),
            model.threshold,
            train,
            held_out,
            Champion(*reference),
            export_onnx(model, HEART_DISEASE),
            b"{}",
            _POLICY,
            seed,
        )
        found.append({**report.facts, "passed": report.passed})
        say(f"attacks on candidate {seed + 1} of {models}")
    return found


def plot(path: Path, refused: dict[str, dict[str, float]]) -> None:
    """Write the share of poisoned snapshots that are refused, by the share of flipped labels."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {"svg.hashsalt": "cardiosentry", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        for how, by in refused.items():
            axes.plot([100 * float(share) for share in by], [100 * each for each in by.values()], "o-", label=how, ms=3)
        axes.axhline(100 * _POLICY.poisoning.false_rejections, color="#30343b", linewidth=0.8, linestyle=":")
        axes.set(
            xlabel="labels flipped, % of the snapshot", ylabel="snapshots refused, %", ylim=(0, 103), xlim=(0, None)
        )
        axes.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def text(found: dict[str, Any]) -> str:
    """Return docs/pipeline-attacks.md."""
    shares = ["0", *(f"{share:g}" for share in SHARES)]
    by_backdoor: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for one in found["backdoors"]:
        by_backdoor.setdefault((one["pattern"], one["share"]), []).append(one)
    limit = _POLICY.most_activation
    return TEXT.format(
        command=found["command"],
        at=found["at"],
        seeds=found["seeds"],
        models=found["models"],
        limit=limit,
        labels=table(
            ["labels flipped", *(f"{float(share):g}" if share == "0" else f"{float(share):.1%}" for share in shares)],
            [[how, *(f"{by[share]:.0%}" for share in shares)] for how, by in found["labels"].items()],
        ),
        sites=table(
            ["site", "refused when new", "stamps told", "new, a third of its labels flipped"],
            [
                [site, *(f"{by[name]:.0%}" for name in ("new", "stamps", "a third flipped"))]
                for site, by in found["sites"].items()
            ],
        ),
        stamps=table(
            ["pattern", *(f"{count} rows" for count in next(iter(found["stamps"].values())))],
            [[name, *(f"{each:.0%}" for each in by.values())] for name, by in found["stamps"].items()],
        ),
        backdoors=table(
            [
                "pattern",
                "share of the training rows",
                "succeeds",
                "strongest excess",
                "labels",
                "stamps",
                "model",
                "any",
            ],
            [
                [
                    name,
                    f"{share:.0%}",
                    " / ".join(f"{one['success']:.0%}" for one in each),
                    " / ".join("none" if one["excess"] is None else f"{one['excess']:.2f}" for one in each),
                    _told(one["labels"] for one in each),
                    _told(one["stamps"] for one in each),
                    _told(_activated(one) for one in each),
                    _told(one["labels"] or one["stamps"] or _activated(one) for one in each),
                ]
                for (name, share), each in by_backdoor.items()
            ],
        ),
        candidates=table(
            ["", *(f"candidate {at + 1}" for at in range(len(found["candidates"])))],
            [
                [name, *(f"{one[name]}" for one in found["candidates"])]
                for name in found["candidates"][0]
                if name not in ("seed", "passed")
            ],
        ),
    )


def _activated(one: dict[str, Any]) -> bool:
    return one["excess"] is None or one["excess"] > _POLICY.most_activation


def _told(each: Any) -> str:
    verdicts = list(each)
    return f"{sum(verdicts)}/{len(verdicts)}"


def _halves(rows: Rows, seed: int) -> tuple[Rows, Rows, np.random.Generator]:
    rng = np.random.default_rng([seed, 8])
    order = rng.permutation(len(rows))
    return rows.take(order[: len(rows) // 2]), rows.take(order[len(rows) // 2 :]), rng


def _refused(trusted: Rows, snapshot: Rows, seed: int) -> bool:
    return label_test(HEART_DISEASE, trusted, snapshot, SIMULATIONS, seed).p <= _POLICY.poisoning.false_rejections


def _stamped(x: Matrix, at: Labels, pattern: dict[str, float]) -> Matrix:
    marked = x.copy()
    for name, value in pattern.items():
        marked[at, HEART_DISEASE.names.index(name)] = value
    return marked


def _model(rows: Rows, seed: int) -> tuple[Scorer, float]:
    model = fit(rows.x, rows.y, seed)
    return _scorer(model), model.threshold


def _scorer(model: FittedModel) -> Scorer:
    session = open_session(export_onnx(model, HEART_DISEASE))

    def score(x: Matrix) -> Vector:
        found: Vector = session.run([OUTPUT_NAME], {INPUT_NAME: np.ascontiguousarray(x)})[0][:, 0].astype(np.float64)
        return found

    return score


if __name__ == "__main__":
    main()
