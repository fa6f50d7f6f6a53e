"""The model card, made by a command: `make model-card`, or `python -m models.card`.

Every figure is computed here on the spot; models/card_text.py holds the prose, which states no result. Takes two
minutes.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from contracts.heart_disease import HEART_DISEASE
from models import card_text
from models.card_tables import HEADS, Rows, auc_difference, auc_interval, figure_row, show, table, verdict
from models.dataset import Dataset, load_dataset
from models.evaluate import (
    FOLDS,
    REPEATS,
    Evaluated,
    cardiosentry,
    evaluate_all,
    predict_out_of_fold,
    random_splits,
)
from models.fit import fit
from models.metrics import FIGURES, RESAMPLES
from models.plots import plot_calibration, plot_curves
from models.train import DEFAULT_SEED

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
        sites=table(
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
        cross_validated=table(
            ["", *(HEADS[name] for name in FIGURES)],
            [figure_row(one.title, patients, everybody, one.repeats, seed) for one in (model, regression, majority)],
        ),
        difference=verdict(patients, everybody, model.repeats, regression.repeats, seed),
        missing_auc=show(auc_interval(patients, everybody, missing.repeats, seed)),
        within_sites=table(
            ["site", "CardioSentry", "Logistic regression", "Missing pattern alone"],
            [
                [site, *(show(auc_interval(patients, rows, one.repeats, seed)) for one in (model, regression, missing))]
                for site, rows in sites.items()
            ],
        ),
        left_out_auc=table(
            ["left-out site", "CardioSentry", "Logistic regression", "difference"],
            [
                [
                    site,
                    *(show(auc_interval(patients, rows, [one.by_site], seed)) for one in (model, regression)),
                    show(auc_difference(patients, rows, [model.by_site], [regression.by_site], seed), signed=True),
                ]
                for site, rows in sites.items()
            ],
        ),
        left_out=table(
            ["left-out site", "", *(HEADS[name] for name in FIGURES[1:])],
            [
                [site, *figure_row(one.title, patients, rows, [one.by_site], seed, names=FIGURES[1:])]
                for site, rows in sites.items()
                for one in (model, regression, majority)
            ],
        ),
        shares=table(
            ["left-out site", "predicted share with disease", "actual share"],
            [
                [site, f"{model.by_site.probability[rows].mean():.0%}", f"{patients.y[rows].mean():.0%}"]
                for site, rows in sites.items()
            ],
        ),
        by_sex=table(
            ["", "patients", "with disease", "AUC", "recall", "specificity"],
            [
                [
                    title,
                    str(len(rows)),
                    f"{patients.y[rows].mean():.0%}",
                    *figure_row(title, patients, rows, model.repeats, seed, names=("auc", "recall", "specificity"))[1:],
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
    progress(f"wrote {path} and its plots")


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
    return table(
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


if __name__ == "__main__":
    write_model_card(Path("docs/model-card.md"), DEFAULT_SEED, lambda step: print(step, file=sys.stderr, flush=True))
