"""The model card, made by a command: `make model-card`, or `python -m models.card`.

Every figure is computed here on the spot; models/card_text.py holds the prose, which states no result. Takes two
minutes.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.heart_disease import HEART_DISEASE
from models import card_text
from models.dataset import Dataset, load_dataset
from models.evaluate import (
    FOLDS,
    REPEATS,
    Evaluated,
    Predictions,
    cardiosentry,
    evaluate_all,
    predict_out_of_fold,
    random_splits,
)
from models.fit import Vector, fit
from models.metrics import FIGURES, RESAMPLES, Interval, auc, figures, resample, summarise
from models.plots import plot_calibration, plot_curves
from models.train import DEFAULT_SEED

Rows = npt.NDArray[np.int64]

# owkin/FLamby, fed_heart_disease: logistic regression, complete rows, five seeds, accuracy.
_PUBLISHED = {
    "Cleveland": (0.746, 0.783),
    "Hungary": (0.760, 0.764),
    "Switzerland": (0.725, 0.750),
    "VA Long Beach": (0.658, 0.644),
}


def write_model_card(path: Path, seed: int, progress: Callable[[str], None]) -> None:
    """Evaluate and write the card to `path`, its plots into a directory beside it named like it without the suffix.

    `progress` gets a sentence a step. The same data, seed and libraries give the same card.
    """
    dataset = load_dataset()
    patients = dataset.distinct()
    model, regression, majority, missing = evaluate_all(patients, seed, progress)
    progress("intervals, plots and the comparison with published figures")
    plots = path.parent / path.stem
    plot_calibration(
        plots / "calibration.svg",
        {
            f"cross-validated ({FOLDS}-fold)": (patients.y, model.repeats[0].probability),
            "left-out site": (patients.y, model.by_site.probability),
        },
    )
    plot_curves(plots / "curves.svg", fit(patients.x, patients.y, seed), HEART_DISEASE)
    sites = {site: np.flatnonzero(patients.site == site) for site in sorted(set(patients.site.tolist()))}
    sex = patients.x[:, HEART_DISEASE.names.index("sex")]
    everybody = np.arange(len(patients))
    unjudged = int((np.isnan(patients.x).sum(axis=1) > HEART_DISEASE.max_missing).sum())
    text = card_text.CARD.format(
        patients=len(patients),
        records=len(dataset),
        positives=int(patients.y.sum()),
        sha256=dataset.sha256,
        sites=_table(
            ["site", "patients", "with disease", *(f"{name} missing" for name in ("chol", "slope", "ca", "thal"))],
            [
                [site, str(len(rows)), f"{patients.y[rows].mean():.0%}", *_missing(patients, rows)]
                for site, rows in sites.items()
            ],
        ),
        folds=FOLDS,
        repeats=REPEATS,
        resamples=RESAMPLES,
        seed=seed,
        cross_validated=_table(
            ["", *(_HEADS[name] for name in FIGURES)],
            [_figure_row(one.title, patients, everybody, one.repeats, seed) for one in (model, regression, majority)],
        ),
        difference=_difference(patients, everybody, model.repeats, regression.repeats, seed),
        missing_auc=_show(_auc(patients, everybody, missing.repeats, seed)),
        within_sites=_table(
            ["site", "CardioSentry", "Logistic regression", "Missing pattern alone"],
            [
                [site, *(_show(_auc(patients, rows, one.repeats, seed)) for one in (model, regression, missing))]
                for site, rows in sites.items()
            ],
        ),
        left_out_auc=_table(
            ["left-out site", "CardioSentry", "Logistic regression", "difference"],
            [
                [
                    site,
                    *(_show(_auc(patients, rows, [one.by_site], seed)) for one in (model, regression)),
                    _show(_auc_difference(patients, rows, [model.by_site], [regression.by_site], seed), signed=True),
                ]
                for site, rows in sites.items()
            ],
        ),
        left_out=_table(
            ["left-out site", "", *(_HEADS[name] for name in FIGURES[1:])],
            [
                [site, *_figure_row(one.title, patients, rows, [one.by_site], seed, FIGURES[1:])]
                for site, rows in sites.items()
                for one in (model, regression, majority)
            ],
        ),
        shares=_table(
            ["left-out site", "predicted share with disease", "actual share"],
            [
                [site, f"{model.by_site.probability[rows].mean():.0%}", f"{patients.y[rows].mean():.0%}"]
                for site, rows in sites.items()
            ],
        ),
        by_sex=_table(
            ["", "patients", "with disease", "AUC", "recall", "specificity"],
            [
                [
                    title,
                    str(len(rows)),
                    f"{patients.y[rows].mean():.0%}",
                    *_figure_row(title, patients, rows, model.repeats, seed, ("auc", "recall", "specificity"))[1:],
                ]
                for title, rows in (("women", np.flatnonzero(sex == 0)), ("men", np.flatnonzero(sex == 1)))
            ],
        ),
        published=_published(patients, model, sites, seed),
        feature_count=len(HEART_DISEASE.features),
        max_missing=HEART_DISEASE.max_missing,
        unjudged=unjudged,
        plots=path.stem,
    )
    path.write_text(text, encoding="utf-8")


_HEADS = {"auc": "AUC", "brier": "Brier", "npv": "NPV"} | {
    name: name for name in FIGURES if name not in ("auc", "brier", "npv")
}


def _figure_row(
    title: str, patients: Dataset, rows: Rows, repeats: Sequence[Predictions], seed: int, names: Sequence[str] = FIGURES
) -> list[str]:
    """Return a row of figures over `rows`, the mean over `repeats`, with intervals."""
    counts = resample(len(rows), seed)
    found = [figures(counts, patients.y[rows], one.probability[rows], one.positive[rows]) for one in repeats]
    shown = {name: _show(summarise(np.mean([one[name] for one in found], axis=0))) for name in names}
    if title == "Majority class" and "auc" in shown:
        shown["auc"] = "0.5 by definition"
    return [title, *shown.values()]


def _auc_samples(patients: Dataset, rows: Rows, repeats: Sequence[Predictions], seed: int) -> Vector:
    counts = resample(len(rows), seed)
    found: Vector = np.mean([auc(counts, patients.y[rows], one.probability[rows]) for one in repeats], axis=0)
    return found


def _auc(patients: Dataset, rows: Rows, repeats: Sequence[Predictions], seed: int) -> Interval:
    return summarise(_auc_samples(patients, rows, repeats, seed))


def _auc_difference(
    patients: Dataset, rows: Rows, ours: Sequence[Predictions], theirs: Sequence[Predictions], seed: int
) -> Interval:
    """Return how much higher our AUC is, on the same resamples."""
    return summarise(_auc_samples(patients, rows, ours, seed) - _auc_samples(patients, rows, theirs, seed))


def _difference(
    patients: Dataset, rows: Rows, ours: Sequence[Predictions], theirs: Sequence[Predictions], seed: int
) -> str:
    found = _auc_difference(patients, rows, ours, theirs, seed)
    verdict = (
        "higher" if found.low > 0 else "lower" if found.high < 0 else "neither better nor worse than chance explains"
    )
    return f"{_show(found, signed=True)}: {verdict}"


def _published(patients: Dataset, model: Evaluated, sites: dict[str, Rows], seed: int) -> str:
    """Return the table of accuracies at 0.5 beside the published ones."""
    cleveland = sites["Cleveland"]
    inside = predict_out_of_fold(
        cardiosentry, patients.take(cleveland), random_splits(patients.take(cleveland), seed), seed
    )
    trained = fit(patients.x[cleveland], patients.y[cleveland], seed)
    rows_of = []
    for site, rows in sites.items():
        alone = inside.probability if site == "Cleveland" else trained.probability(patients.x[rows])
        pooled = np.mean([((one.probability[rows] >= 0.5) == patients.y[rows]).mean() for one in model.repeats])
        published = _PUBLISHED[site]
        accuracy = ((alone >= 0.5) == patients.y[rows]).mean()
        majority = max(patients.y[rows].mean(), 1 - patients.y[rows].mean())
        rows_of.append(
            [site, f"{accuracy:.3f}", f"{published[0]:.3f}", f"{pooled:.3f}", f"{published[1]:.3f}", f"{majority:.3f}"]
        )
    return _table(
        [
            "tested on",
            "ours, trained on Cleveland",
            "published",
            "ours, trained on all (cross-validated)",
            "published",
            "majority class",
        ],
        rows_of,
    )


def _missing(patients: Dataset, rows: Rows) -> list[str]:
    columns = [HEART_DISEASE.names.index(name) for name in ("chol", "slope", "ca", "thal")]
    return [f"{np.isnan(patients.x[rows, column]).mean():.0%}" for column in columns]


def _show(interval: Interval, *, signed: bool = False) -> str:
    if np.isnan(interval.value):
        return "none"
    form = "+.3f" if signed else ".3f"
    return f"{interval.value:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    write_model_card(Path("docs/model-card.md"), DEFAULT_SEED, lambda step: print(step, file=sys.stderr, flush=True))
