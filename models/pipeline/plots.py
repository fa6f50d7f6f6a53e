"""The plots of a run's report, of patients that nothing saw: ROC, calibration, confusion, recall of each part."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix, roc_curve

from models.fit import Vector
from models.pipeline.rows import Rows
from models.plots import ACCENT, INK, STYLE, plot_calibration, save, wilson

_LEAST = 5
"""Ill patients below which a part's recall is not drawn."""


def plot_evaluation(
    directory: Path,
    held_out: Rows,
    probabilities: Mapping[str, Vector],
    positive: npt.NDArray[np.bool_],
) -> None:
    """Write the plots as SVG files.

    `probabilities` (n,) of `held_out` are by model, the candidate's first; `positive` (n,) are its decisions.
    """
    candidate = next(iter(probabilities))
    plot_calibration(directory / "calibration.svg", {candidate: (held_out.y, probabilities[candidate])})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 3.6), layout="constrained")
        curve, table, parts = figure.subplots(1, 3)
        curve.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for at, (name, probability) in enumerate(probabilities.items()):
            false, true, _ = roc_curve(held_out.y, probability)
            curve.plot(false, true, color=INK if at else ACCENT, linewidth=1.4, label=name)
        curve.set(title="ROC", xlabel="1 - specificity", ylabel="recall", aspect="equal")
        curve.legend(frameon=False)
        counts = confusion_matrix(held_out.y, positive, labels=[0, 1])
        table.imshow(counts, cmap="Greys", vmin=0, vmax=2 * counts.max())
        for (row, column), count in np.ndenumerate(counts):
            table.text(column, row, str(count), ha="center", va="center")
        table.set(title="Confusion", xlabel="decision", ylabel="truth")
        table.set(xticks=[0, 1], xticklabels=["negative", "positive"], yticks=[0, 1], yticklabels=["healthy", "ill"])
        for at, site in enumerate(sorted(set(held_out.site.tolist()))):
            ill = (held_out.site == site) & (held_out.y == 1)
            if ill.sum() >= _LEAST:
                low, high = wilson(int(positive[ill].sum()), int(ill.sum()))
                parts.plot([low, high], [at, at], color=ACCENT, linewidth=1.2)
                parts.plot([positive[ill].mean()], [at], "o", color=ACCENT, markersize=5)
            parts.text(0.02, at, f"{site} ({int(ill.sum())} ill)", fontsize=7, va="bottom")
        parts.set(title="Recall by site, 95% intervals", xlim=(0, 1), yticks=[])
        save(figure, directory / "evaluation.svg")
