"""Synthetic patients fitted to the UCI data: any number, any rate, seeded.

Each patient is a real row of a site (so which values go together, and which are missing together, stays as it is) with
its measured values moved a little: a smoothed bootstrap that keeps mean and variance (Silverman, Density Estimation,
1986, section 6.4.1). Patients come back: the same pseudonym, the same codes and age, measurements that vary.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.errors import UserError
from contracts.events import Outcome
from contracts.heart_disease import HEART_DISEASE
from contracts.identifiers import pseudonym
from producers.csv_rows import Row, read_rows
from producers.event_ids import EventIds
from producers.mapping import UCI_MAPPING, load_mapping
from producers.records import RecordWriter, outcome_record
from producers.replay import UCI_CSV
from producers.sources import SourceRecord

# Width of the kernel in standard deviations: visibly not the same row, still inside its neighbourhood.
_BANDWIDTH = 0.25
# Small enough not to hold up a paced loop (2 ms), large enough that numpy's cost per call does not matter.
_BLOCK = 1024

Values = npt.NDArray[np.float64]


class SyntheticPatients:
    """An endless `producers.sources.Source` of visits by `patients` patients, of sources like `synthetic/cleveland`.

    The sites keep their shares of the UCI data in `path`. `pseudonym_key` has at least 32 bytes. An outcome, the
    diagnosis of the row that the patient was drawn from, follows its event by `outcome_delay_s` seconds; None sends
    none. The same `seed` gives the same patients and visits, other than the time.

    Raises `UserError` for a file that is not the UCI data.
    """

    def __init__(
        self,
        *,
        pseudonym_key: bytes,
        seed: int = 0,
        patients: int = 10_000,
        outcome_delay_s: float | None = None,
        path: Path = UCI_CSV,
    ) -> None:
        if patients < 1:
            raise ValueError(f"patients: expected at least 1, got {patients}")
        rows = list(read_rows(path, load_mapping(UCI_MAPPING, HEART_DISEASE), HEART_DISEASE))
        if not rows:
            raise UserError(f"{path}: expected rows of patients, got none")
        self._rng = np.random.default_rng([seed, 1])
        self._ids = EventIds(seed)
        self._fit = _Fit(rows)
        self._row_of = self._rng.integers(len(rows), size=patients)
        self._age = self._fit.jitter(self._row_of, self._rng)[:, 0]
        self._sources = ["synthetic/" + rows[row].source.split("/", 1)[1] for row in self._row_of]
        self._diagnoses = [rows[row].diagnosis for row in self._row_of]
        self._pseudonyms = [pseudonym(pseudonym_key, f"synthetic-{seed}-{number}") for number in range(patients)]
        self._outcome_delay_s = outcome_delay_s
        self._writer = RecordWriter(HEART_DISEASE)
        self._visits: list[tuple[int, tuple[float | None, ...]]] = []
        self._next = 0

    def take(self, count: int, at_ms: int) -> Sequence[SourceRecord]:
        """See `producers.sources.Source.take`; never empty for a positive `count`."""
        visits = self._visits[self._next : self._next + count]
        self._next += len(visits)
        while len(visits) < count:
            self._visits = self._block()
            self._next = count - len(visits)
            visits += self._visits[: self._next]
        event, features = self._writer.event, self._writer.features
        pseudonyms, sources = self._pseudonyms, self._sources
        ids = self._ids.take(count)
        records = [
            event(event_id, pseudonyms[patient], sources[patient], at_ms, features(*values))
            for event_id, (patient, values) in zip(ids, visits, strict=True)
        ]
        if self._outcome_delay_s is not None:
            records += self._outcomes(ids, [patient for patient, _ in visits], at_ms, self._outcome_delay_s)
        return records

    def _outcomes(self, ids: list[str], patients: list[int], at_ms: int, delay_s: float) -> list[SourceRecord]:
        recorded_at = at_ms + int(delay_s * 1000)
        return [
            outcome_record(
                Outcome(
                    event_id,
                    self._pseudonyms[patient],
                    self._sources[patient],
                    1 if self._diagnoses[patient] else 0,
                    recorded_at,
                ),
                delay_s,
            )
            for event_id, patient in zip(ids, patients, strict=True)
        ]

    def _block(self) -> list[tuple[int, tuple[float | None, ...]]]:
        patients = self._rng.integers(len(self._row_of), size=_BLOCK)
        values = self._fit.jitter(self._row_of[patients], self._rng)
        values[:, 0] = self._age[patients]
        return list(zip(patients.tolist(), zip(*map(_as_python, values.T), strict=True), strict=True))


class _Fit:
    """What the real rows of each site say about the spread of their measurements."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._values = np.array([row.features for row in rows], dtype=np.float64)  # None becomes NaN
        self._mean, self._sd, self._low, self._high = (np.zeros_like(self._values) for _ in range(4))
        sites = np.array([row.source for row in rows])
        measured = np.array([feature.codes is None for feature in HEART_DISEASE.features])
        for site in np.unique(sites):
            of_site = sites == site
            for column in range(self._values.shape[1]):
                present = self._values[of_site, column]
                present = present[~np.isnan(present)]
                if present.size:
                    self._mean[of_site, column] = present.mean()
                    self._sd[of_site, column] = present.std() if measured[column] else 0.0
                    self._low[of_site, column] = present.min()
                    self._high[of_site, column] = present.max()
        self._shrink = np.where(measured, 1 / np.sqrt(1 + _BANDWIDTH**2), 1.0)
        # As the files have them: whole numbers, ST depression to a tenth.
        self._decimals = np.array([10.0 if feature.name == "oldpeak" else 1.0 for feature in HEART_DISEASE.features])

    def jitter(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> Values:
        """Return one visit for each of `rows`, shape (n, 13) float64, NaN where missing, inside the site's range."""
        mean = self._mean[rows]
        noise = _BANDWIDTH * self._sd[rows] * rng.standard_normal(mean.shape)
        moved = mean + (self._values[rows] - mean + noise) * self._shrink
        moved = np.rint(moved * self._decimals) / self._decimals
        bounded: Values = np.clip(moved, self._low[rows], self._high[rows])
        return bounded


def _as_python(column: Values) -> list[float | None]:
    """Return a column as JSON has it: None for NaN, 63 for 63.0."""
    present = ~np.isnan(column)
    plain: npt.NDArray[np.object_] = np.full(column.shape, None)
    whole = bool((column == np.rint(column))[present].all())
    plain[present] = (column[present].astype(np.int64) if whole else column[present]).tolist()
    values: list[float | None] = plain.tolist()
    return values
