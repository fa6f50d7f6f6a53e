"""Outcomes: how far apart false alarms of quality and of poisoned outcomes are, and how soon changes are found.

Clean streams are of synthetic patients and their own diagnoses, which the reference never saw. Delays are in outcomes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.drift_streams import reference_of, scorer
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, caption, context, write_json
from contracts.codec import decoder
from contracts.detection import Outcomes, Signals
from contracts.events import Outcome, event_type
from contracts.heart_disease import HEART_DISEASE
from contracts.reference import ALL, OUTCOME_STATISTICS, WINDOW_EVENTS, ReferenceStatistics
from contracts.releases import DAY_MS
from models.dataset import Dataset, load_dataset
from models.population import Population
from models.scorer import Scorer
from models.sign import PUBLIC_KEY_FILE
from models.sketch import Sketch, Sketcher
from models.verify import verify_bundle
from producers.synthetic import SyntheticPatients
from stream_app.detectors.poison import PoisonWatch
from stream_app.detectors.quality import QualityDetector
from stream_app.detectors.rules import DETECTORS, load_rules
from stream_app.matrix import to_matrix

SEED = 20
_BLOCK = 20_000  # outcomes
_BEFORE = 4_000  # clean outcomes before a change
_AT_ONCE = 100  # outcomes in one batch of signals
_DIGEST = "sha256:champion"
_SPACING = 1_000  # windows between false alarms where delays are measured

Floats = npt.NDArray[np.float64]
Score = Callable[[Any], npt.NDArray[np.floating]]


class Visits(NamedTuple):
    """Some patients: features (n, features), outcomes 0 or 1 (n,), the number of each one's source (n,)."""

    values: Floats
    outcomes: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int64]


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.detection_outcomes --alarms 400", broker=False)
    arguments.add_argument("--alarms", type=int, default=400, help="that are due in a setting (default: %(default)s)")
    arguments.add_argument("--streams", type=int, default=20, help="of each change (default: %(default)s)")
    options = arguments.parse_args()
    with model(options) as (bundle, keys, _):
        verified = verify_bundle(Path(bundle), keys / PUBLIC_KEY_FILE)
        score: Score = Scorer(verified).score
    reference = verified.manifest.reference_statistics
    assert reference is not None
    found = {
        "quality": quality(reference, score, options.alarms),
        "poisoned": poisoned(reference, score, options.alarms),
        "delays": delays(reference, score, options.streams),
    }
    console = Console(width=WIDTH)
    for table in tables(found):
        console.print(table)
    made = context(None)
    console.print(caption(made), style="dim")
    document = {"benchmark": "detection_outcomes", **made, "seed": SEED, **found}
    console.print(write_json(options.results, "detection_outcomes", document))


def quality(reference: ReferenceStatistics, score: Score, alarms: int) -> dict[str, Any]:
    """Return {stream: {spacing set in windows: {statistic: [alarms, measured / set spacing]}}}."""
    found: dict[str, Any] = {}
    for name, patients, merged, settings in (
        ("10,000 patients who return", 10_000, 1, (50, 100)),
        ("200,000 patients", 200_000, 1, (50,)),
        ("2,000 patients who return", 2_000, 1, (50,)),
        ("10,000 patients who return, windows of 200", 10_000, 10, (50,)),
    ):
        made = _windows(reference, score, _returning(patients), merged)
        found[name] = {str(setting): _spacings(reference, made, setting, alarms) for setting in settings}
    everybody = load_dataset().distinct()
    half = np.random.default_rng([SEED, 10]).permutation(len(everybody)) < len(everybody) // 2
    mine, theirs = everybody.take(half), everybody.take(~half)
    theirs_score = scorer(mine.x, mine.y, SEED)
    other = reference_of(mine, theirs_score, SEED)
    made = _windows(other, theirs_score, _drawn(theirs), 1)
    found["patients of the other half of the data"] = {"50": _spacings(other, made, 50, alarms // 4)}
    return found


def _spacings(
    reference: ReferenceStatistics, windows: Iterator[Sketch], setting: int, alarms: int
) -> dict[str, list[float]]:
    names = (ALL, *OUTCOME_STATISTICS)
    detectors = {name: QualityDetector(reference, setting, statistic=name) for name in names}
    counts = dict.fromkeys(names, 0)
    for _ in range(alarms * setting):
        window = next(windows)
        for name, detector in detectors.items():
            counts[name] += bool(detector.update(window))
    return {name: [count, alarms / max(count, 1)] for name, count in counts.items()}


def poisoned(reference: ReferenceStatistics, score: Score, alarms: int) -> dict[str, Any]:
    """Return {spacing set in outcomes: [alarms, measured / set spacing]} of all sources together, after learning."""
    found = {}
    for spacing in (2_000, 5_000):
        watch = _poison_watch(reference, spacing)
        at_ms = learned = count = 0
        for told in _told(reference, score, _returning(10_000)):
            alerts = watch.see(Signals(at_ms, {}, outcomes=[told]))
            at_ms += 1000 * _AT_ONCE
            learned += _AT_ONCE
            if learned <= _BLOCK:
                continue
            count += sum(1 + int(alert.labels.get("alarms_since_last_alert", 0)) for alert in alerts)
            if learned >= _BLOCK + alarms * spacing:
                break
        found[str(spacing)] = [count, alarms / max(count, 1)]
    return found


def _poison_watch(reference: ReferenceStatistics, spacing: float) -> PoisonWatch:
    """Return a watch with so many outcomes, a second each, between two false alarms."""
    manifest = SimpleNamespace(reference_statistics=reference)
    champion: Any = SimpleNamespace(bundle=SimpleNamespace(digest=_DIGEST, manifest=manifest))
    return PoisonWatch(load_rules().poison, lambda: champion, spacing * 1000 / DAY_MS / DETECTORS)


def delays(reference: ReferenceStatistics, score: Score, streams: int) -> dict[str, list[int | None]]:
    """Return {change: outcomes until quality told it, of each stream}, None where not within `_BEFORE`."""
    found: dict[str, list[int | None]] = {name: [] for name in CHANGES}
    for name, change in CHANGES.items():
        for number in range(streams):
            rng = np.random.default_rng([SEED, 12, number])
            detector = QualityDetector(reference, _SPACING)
            sketcher = Sketcher(reference.columns)
            visits = next(_returning(10_000, 2000 + number))
            bins = _bins(sketcher, score, visits)
            outcomes = visits.outcomes.copy()
            outcomes[_BEFORE:] = change(outcomes[_BEFORE:], bins[_BEFORE:], reference, rng)
            delay = None
            for at, row in enumerate(_totals(bins, outcomes, len(reference.outcomes.positive))[: 2 * _BEFORE]):
                if detector.update(row) and at * WINDOW_EVENTS >= _BEFORE:
                    delay = (at + 1) * WINDOW_EVENTS - _BEFORE
                    break
            found[name].append(delay)
    return found


Labels = npt.NDArray[np.int64]
Change = Callable[[Labels, Labels, ReferenceStatistics, np.random.Generator], Labels]


def _denied(outcomes: Labels, _: Labels, __: ReferenceStatistics, rng: np.random.Generator) -> Labels:
    return np.where(rng.random(len(outcomes)) < 0.2, 0, outcomes)


def _turned(outcomes: Labels, _: Labels, __: ReferenceStatistics, rng: np.random.Generator) -> Labels:
    return np.where(rng.random(len(outcomes)) < 0.2, 1 - outcomes, outcomes)


def _timid(_: Labels, bins: Labels, reference: ReferenceStatistics, rng: np.random.Generator) -> Labels:
    share = np.clip(np.array(reference.outcomes.positive), 0.01, 0.99)
    odds = (share / (1 - share)) ** 0.6
    found: Labels = (rng.random(len(bins)) < (odds / (1 + odds))[bins]).astype(np.int64)
    return found


CHANGES: dict[str, Change] = {
    "one in five diseases are none": _denied,
    "one in five diagnoses are the opposite": _turned,
    "log-odds are 0.6 of what they were": _timid,
}


def _returning(patients: int, seed: int = 1000) -> Iterator[Visits]:
    """Yield blocks of visits by synthetic patients; after five blocks come those of another seed."""
    event, outcome = decoder(event_type(HEART_DISEASE)), decoder(Outcome)
    names: dict[str, int] = {}
    while True:
        seed += 1
        source = SyntheticPatients(pseudonym_key=bytes(32), seed=seed, patients=patients, outcome_delay_s=0)
        for _ in range(5):
            records = [record.value or b"" for record in source.take(_BLOCK, 0)]
            events = [event(value) for value in records[:_BLOCK]]
            diagnoses = [outcome(value).diagnosis for value in records[_BLOCK:]]
            sources = [names.setdefault(each.source, len(names)) for each in events]
            yield Visits(to_matrix(events, len(HEART_DISEASE.names)), np.array(diagnoses), np.array(sources))


def _drawn(patients: Dataset) -> Iterator[Visits]:
    population = Population(HEART_DISEASE, patients.x, patients.site)
    rng = np.random.default_rng([SEED, 11])
    while True:
        rows = population.rows(_BLOCK, rng)
        yield Visits(population.visits(rows, rng), patients.y[rows], np.zeros(_BLOCK, np.int64))


def _bins(sketcher: Sketcher, score: Score, visits: Visits) -> Labels:
    probabilities: Floats = score(visits.values.astype(np.float32)).astype(np.float64)
    found: Labels = sketcher.score_bins(probabilities)
    return found


def _windows(reference: ReferenceStatistics, score: Score, blocks: Iterator[Visits], merged: int) -> Iterator[Sketch]:
    sketcher = Sketcher(reference.columns)
    for visits in blocks:
        bins = _bins(sketcher, score, visits)
        yield from _totals(bins, visits.outcomes, len(reference.outcomes.positive), merged * WINDOW_EVENTS)


def _totals(bins: Labels, outcomes: Labels, count: int, events: int = WINDOW_EVENTS) -> list[Sketch]:
    """Return the windows of so many successive outcomes."""
    windows = len(bins) // events
    cells = (bins + count * outcomes)[: windows * events] + 2 * count * np.repeat(np.arange(windows), events)
    counts = np.bincount(cells, minlength=windows * 2 * count).reshape(windows, 2, count)
    totals = np.concatenate([counts.sum(axis=1), counts[:, 1]], axis=1)
    return [Sketch(events, tuple(row)) for row in totals.tolist()]


def _told(reference: ReferenceStatistics, score: Score, blocks: Iterator[Visits]) -> Iterator[Outcomes]:
    """Yield what a worker tells of batches of outcomes."""
    sketcher, count = Sketcher(reference.columns), len(reference.outcomes.positive)
    for visits in blocks:
        bins = _bins(sketcher, score, visits)
        for first in range(0, _BLOCK, _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            sources: dict[str, list[int]] = {}
            for source in np.unique(visits.sources[part]).tolist():
                of = visits.sources[part] == source
                (sketch,) = _totals(bins[part][of], visits.outcomes[part][of], count, int(of.sum()))
                sources[f"ward/{source}"] = list(sketch.totals)
            yield Outcomes(_DIGEST, sources)


def tables(found: dict[str, Any]) -> Iterator[Table]:
    table = Table("stream", "windows set", "alarms of all", "all together", "lowest of the others", "highest")
    for stream, settings in found["quality"].items():
        for setting, each in settings.items():
            ratios = {name: ratio for name, (_, ratio) in each.items() if name != ALL}
            low, high = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
            ends = (f"{low} {ratios[low]:.2f}", f"{high} {ratios[high]:.2f}")
            table.add_row(stream, setting, f"{each[ALL][0]:g}", f"{each[ALL][1]:.2f}", *ends)
    yield table
    table = Table("poisoned outcomes: spacing set, outcomes", "alarms", "measured / set")
    for spacing, (count, ratio) in found["poisoned"].items():
        table.add_row(spacing, f"{count:g}", f"{ratio:.2f}")
    yield table
    table = Table("change", "found", "median delay, outcomes")
    for name, delay in found["delays"].items():
        late = np.median([np.inf if each is None else each for each in delay])
        table.add_row(name, f"{sum(each is not None for each in delay)}/{len(delay)}", f"{late:,.0f}")
    yield table


if __name__ == "__main__":
    main()
