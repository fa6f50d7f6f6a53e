"""False alarms by the clock: what `DriftWatch` tells of clean patients, beside the `false_alarm_days` that were set.

The stream is as slow as a ward's, since what the user sets is a time and everything that depends on time is inside:
how long a window takes is learned, what goes on is told once an hour.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.drift_calibration import RHYTHM, returning_patients, windows_of
from benchmarks.drift_streams import Floats, Score
from contracts.detection import Part, Signals
from contracts.reference import WINDOW_EVENTS, ReferenceStatistics
from contracts.releases import DAY_MS
from models.population import Population
from models.shift import ShiftStatistics
from models.sketch import Sketcher
from stream_app.detectors.drift_watch import DriftWatch
from stream_app.detectors.rules import DETECTORS, load_rules

_START_MS = 1_700_000_000_000
_EVENTS_A_DAY = 1440  # one a minute
_PATIENTS = 10_000
_EVEN = (1,)
_SMALL_WINDOWS, _CHUNK = 50_000, 5000


def clock(reference: ReferenceStatistics, score: Score, alarms: int, seed: int) -> dict[str, Any]:
    """Return {stream: {days set: [alarms, measured / set]}}, over as many days as bring `alarms` if all is well."""
    found: dict[str, Any] = {}
    for name, patients, rate, rhythm, days, share in (
        ("one event a minute", _PATIENTS, _EVENTS_A_DAY, _EVEN, 1.0, 1.0),
        ("one event a minute", _PATIENTS, _EVENTS_A_DAY, _EVEN, 7.0, 1.0),
        ("one event a minute", _PATIENTS, _EVENTS_A_DAY, _EVEN, 30.0, 0.5),
        ("one event a minute, 200,000 patients", 200_000, _EVENTS_A_DAY, _EVEN, 30.0, 0.5),
        ("one event a minute, a day's rhythm", _PATIENTS, _EVENTS_A_DAY, RHYTHM, 1.0, 1.0),
        ("one event a minute, a day's rhythm", _PATIENTS, _EVENTS_A_DAY, RHYTHM, 7.0, 1.0),
        ("one event a second, a day's rhythm", _PATIENTS, 60 * _EVENTS_A_DAY, RHYTHM, 0.25, 1.0),
    ):
        watched = round(alarms * share) * days
        clean = returning_patients(patients)
        told = _told(reference, score, clean, rate, rhythm, days, watched, np.random.default_rng([seed, 14]))
        found.setdefault(name, {})[f"{days:g}"] = [told, watched / max(told, 1) / days]
    return found


def _told(
    reference: ReferenceStatistics,
    score: Score,
    patients: Iterator[Floats],
    events_a_day: int,
    rhythm: tuple[int, ...],
    days: float,
    watched_days: float,
    rng: np.random.Generator,
) -> int:
    """Return how many alerts came in so many days; as many events a day as given, on average, at random times."""
    digest = "sha256:clean"
    champion: Any = SimpleNamespace(
        bundle=SimpleNamespace(digest=digest, manifest=SimpleNamespace(reference_statistics=reference))
    )
    watch = DriftWatch(load_rules().drift, lambda: champion, days / DETECTORS)
    sketcher = Sketcher(reference.columns)
    alerts, last = 0, 0.0
    while True:
        windows = windows_of(sketcher, score, next(patients), (1,))
        # Parts of a window come to the same as the whole of it when its last event is there.
        gaps = rng.gamma(WINDOW_EVENTS, 1 / events_a_day, size=len(windows))
        ends = last + gaps.cumsum()
        last = float(ends[-1])
        for window, at in zip(windows, days_of(ends, rhythm).tolist(), strict=True):
            if at > watched_days:
                return alerts
            part = Part(digest, window.events, list(window.totals))
            alerts += len(watch.see(Signals(_START_MS + round(at * DAY_MS), {}, part)))


def days_of(ends: Floats, rhythm: tuple[int, ...]) -> Floats:
    """Return when events come, in days, that would come at `ends` if they came evenly through the day."""
    share = np.concatenate([[0], np.cumsum(rhythm)]) / sum(rhythm)
    whole = np.floor(ends)
    found: Floats = whole + np.interp(ends - whole, share, np.linspace(0, 1, len(share)))
    return found


def clock_table(found: dict[str, Any]) -> Table:
    """Return what `clock` found, for people."""
    table = Table("stream", "days set", "alarms", "measured / set")
    for stream, settings in found.items():
        for days, (alarms, ratio) in settings.items():
            table.add_row(stream, days, f"{alarms:g}", f"{ratio:.2f}")
    return table


def part_filled(reference: ReferenceStatistics, population: Population, score: Score, seed: int) -> dict[str, float]:
    """Return {events: how many times as often such a window is as rare as one full window in a hundred}.

    What would count if windows were closed by time. The statistics' null distributions are of full windows.
    """
    sketcher, statistics = Sketcher(reference.columns), ShiftStatistics(reference)
    rng = np.random.default_rng([seed, 15])

    def rarest(events: int) -> Floats:
        found = []
        for _ in range(_SMALL_WINDOWS // _CHUNK):
            values = population.draw(_CHUNK * events, rng)
            slots = sketcher.slots(values, score(values.astype(np.float32)).astype(np.float64))
            totals = sketcher.window_totals(slots, events).astype(np.float64)
            scores = statistics.scores(totals, np.full(len(totals), float(events)))
            found += [statistics.rarity(each).max() for each in scores]
        return np.array(found)

    level = np.quantile(rarest(WINDOW_EVENTS), 0.99)
    return {str(events): float((rarest(events) > level).mean()) / 0.01 for events in (5, 10, 15)}
