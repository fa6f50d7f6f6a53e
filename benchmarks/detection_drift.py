"""Drift: how far apart false alarms are, for each statistic and all together, and how soon changes are found."""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.drift_calibration import calibration, calibration_table
from benchmarks.drift_clock import clock, clock_table, part_filled
from benchmarks.drift_delays import PACKAGES, delay_plot, delay_table, delays
from benchmarks.drift_streams import reference_of, scorer
from benchmarks.report import PLOTS, RESULTS, WIDTH, context, write_json, write_plot
from contracts.heart_disease import HEART_DISEASE
from models.dataset import load_dataset
from models.population import Population

SEED = 20
PARTS = ["calibration", "clock", "delays"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alarms", type=int, default=400, help="of each statistic and setting (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=20, help="of each scenario (default: %(default)s)")
    parser.add_argument("--peers", nargs="*", default=list(PACKAGES), choices=list(PACKAGES))
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON (default: %(default)s)")
    parser.add_argument("--plots", type=Path, default=PLOTS, help="directory of the plot (default: %(default)s)")
    given = parser.parse_args()
    patients = load_dataset().distinct()
    score = scorer(patients.x, patients.y, SEED)
    reference = partial(reference_of, patients, score, SEED)
    console = Console(width=WIDTH)
    for part in given.parts:
        started = time.monotonic()
        made: dict[str, Any] = {"benchmark": "detection_drift", **context(None), "seed": SEED}
        if part == "calibration":
            found = calibration(reference(), score, given.alarms, SEED)
            console.print(calibration_table(found))
        elif part == "clock":
            found = clock(reference(), score, given.alarms, SEED)
            console.print(clock_table(found))
            population = Population(HEART_DISEASE, patients.x, patients.site)
            made["part_filled"] = part_filled(reference(), population, score, SEED)
            console.print("windows of fewer events, times as rare as one in a hundred:", made["part_filled"])
        else:
            found = delays(score, given.streams, given.peers, SEED)
            console.print(delay_table(found))
            console.print(write_plot(given.plots, "drift_delays", delay_plot(found), made))
        made["seconds"] = round(time.monotonic() - started)
        console.print(write_json(given.results, f"detection_drift_{part}", {**made, part: found}))


if __name__ == "__main__":
    main()
