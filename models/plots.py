"""The model card's plots, as SVG files that are the same for the same numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contracts.features import FeatureTable
from models.fit import FittedModel, Labels, Vector

_BINS = 8  # of equal size: about 115 patients each
INK, ACCENT = "#30343b", "#b3262e"
STYLE: Any = {"svg.hashsalt": "cardiosentry", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def plot_calibration(path: Path, panels: Mapping[str, tuple[Labels, Vector]]) -> None:
    """Write reliability diagrams, one a panel of (y, probability): equal-sized bins with 95% Wilson intervals."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * len(panels), 4.2), layout="constrained")
        for axes, (title, (y, probability)) in zip(
            figure.subplots(1, len(panels), squeeze=False).flat, panels.items(), strict=True
        ):
            axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
            for rows in np.array_split(np.argsort(probability, kind="stable"), _BINS):
                low, high = wilson(int(y[rows].sum()), len(rows))
                x = float(probability[rows].mean())
                axes.plot([x, x], [low, high], color=ACCENT, linewidth=1.2)
                axes.plot([x], [y[rows].mean()], "o", color=ACCENT, markersize=5)
            axes.set(title=title, xlabel="predicted probability of disease", ylabel="share with disease")
            axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        save(figure, path)


def plot_curves(path: Path, model: FittedModel, table: FeatureTable) -> None:
    """Write what the model adds to the log-odds for each value of each feature, against the value imputed for a gap."""
    columns = 4
    medians = np.asarray(model.boosted.imputer.statistics_, dtype=np.float32)
    with mpl.rc_context(STYLE):
        rows = -(-len(table.features) // columns)
        figure = Figure(figsize=(11, 2.3 * rows), layout="constrained")
        grid = list(figure.subplots(rows, columns, sharey=True).flat)
        for column, (axes, feature) in enumerate(zip(grid, table.features, strict=False)):
            values = [float(code) for code in feature.codes] if feature.codes else np.linspace(*feature.usual, 400)
            points = np.tile(medians, (len(values), 1))
            points[:, column] = values
            at_median = model.boosted.margin(medians[None])[0]
            height = model.slope * (model.boosted.margin(points) - at_median)
            _draw_curve(axes, values, height, codes=feature.codes)
            unit = "" if feature.codes else f" ({feature.unit})"
            axes.set_title(f"{feature.title}{unit}", fontsize=7)
        for axes in grid[len(table.features) :]:
            axes.set_visible(False)
        figure.supylabel("change of the log-odds of disease")
        save(figure, path)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share.

    >>> tuple(round(x, 3) for x in wilson(5, 10))
    (0.237, 0.763)
    """
    z = 1.959964
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def _draw_curve(axes: Axes, values: object, height: Vector, codes: Mapping[str, str] | None) -> None:
    axes.axhline(0, color=INK, linewidth=0.6, linestyle=":")
    if codes:
        axes.bar(range(len(codes)), height, color=ACCENT, width=0.6)
        axes.set_xticks(range(len(codes)), [label.replace(" ", "\n") for label in codes.values()], fontsize=6)
    else:
        axes.plot(np.asarray(values), height, color=ACCENT, linewidth=1.4)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as an SVG file that is the same for the same numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
