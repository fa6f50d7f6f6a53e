"""What the console shows of models: it may not know how they are verified, so it is handed in."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np

from contracts.errors import ModelRejected, RetryableError
from contracts.features import FeatureTable
from contracts.reference import FEATURES, JOINT, MISSING, PERFORMANCE, SCORE, Column, ReferenceStatistics
from contracts.releases import DAY_MS, Release
from contracts.settings import Settings
from models.bundle import MANIFEST_FILE, Manifest
from models.lifecycle import standings
from models.release_log import ReleaseLog
from models.roots import read_root
from models.shift import ShiftStatistics
from models.store import fetch_file, open_store
from monitoring.console.board import Models, ShownModel
from monitoring.console.drift import Reference, ShownColumn
from stream_app.detectors.rules import DETECTORS

_MOST = 12
_TOGETHER = {
    FEATURES: "All features, a little of each",
    JOINT: "Two features jointly",
    PERFORMANCE: "The model's quality, by its scores",
}
_TITLES = {SCORE: ("Probability of disease", ""), MISSING: ("Missing values", "of an event")}


class ReleaseCatalogue:
    """Follows model-releases under the trust root in the key directory, and reads manifests from the store."""

    def __init__(self, settings: Settings) -> None:
        self._log = ReleaseLog(read_root(Path(settings.keys)))
        self._store = open_store(settings.store)
        self._shadows, self._days = settings.shadows, settings.false_alarm_days
        self._manifests: dict[str, Manifest] = {}
        self._reference: tuple[ReferenceStatistics, Reference] | None = None

    def read(self, values: Sequence[bytes]) -> tuple[Models, Reference | None]:
        """See `monitoring.console.feeds.Catalogue`: what is refused changes nothing, the workers raise an alert."""
        for value in values:
            with suppress(ModelRejected):
                self._log.read(value)
        rows = self._rows()
        champions = self._log.candidates("champion", now_ms=time.time_ns() // 1_000_000)
        reference = self._reference_of(champions[0]) if champions else None
        if reference is None:
            return Models(rows), None
        return Models(rows, reference.columns, dict(reference.together), reference.baseline), reference

    def _rows(self) -> tuple[ShownModel, ...]:
        rows = []
        for each in standings(self._log, shadows=self._shadows)[:_MOST]:
            release, entry = each.release, each.entry
            manifest = self._manifest(release) if release else None
            rows.append(
                ShownModel(
                    stage=each.stage,
                    digest=each.digest,
                    since=entry.statement.created_at,
                    until=release.expires_at if release else None,
                    signed_by=entry.signed_by,
                    reason=entry.reason,
                    release=release.version if release else None,
                    name=manifest.name if manifest else None,
                    version=manifest.version if manifest else None,
                    auc=manifest.evaluation.auc if manifest else None,
                    threshold=manifest.threshold if manifest else None,
                )
            )
        return tuple(rows)

    def _manifest(self, release: Release) -> Manifest | None:
        """Return a released bundle's manifest; None while the store has none, which is asked again later."""
        if release.digest not in self._manifests:
            with suppress(RetryableError, ModelRejected, msgspec.DecodeError):
                content = fetch_file(self._store, release, MANIFEST_FILE)
                self._manifests[release.digest] = msgspec.json.decode(content, type=Manifest)
        return self._manifests.get(release.digest)

    def _reference_of(self, champion: Release) -> Reference | None:
        manifest, baseline = self._manifest(champion), self._log.baseline(champion.digest)
        if manifest is None or manifest.reference_statistics is None:
            return None
        statistics, version = manifest.reference_statistics, 0
        if baseline and baseline.statistics and baseline.statistics.replaces(statistics):
            statistics, version = baseline.statistics, baseline.version
        if self._reference is None or self._reference[0] is not statistics:
            made = reference_of(statistics, manifest.feature_table, champion.digest, version, self._days)
            self._reference = (statistics, made)
        return self._reference[1]


def reference_of(
    statistics: ReferenceStatistics, table: FeatureTable, digest: str, baseline: int, false_alarm_days: float
) -> Reference:
    """Return a reference with the drift detector's own statistics and limit."""
    shift = ShiftStatistics(statistics)

    def rarities(totals: Sequence[int], events: int) -> Mapping[str, float]:
        scores = shift.scores(np.array([totals], np.float64), np.array([events], np.float64))
        return dict(zip(shift.names, shift.rarity(scores[0]).tolist(), strict=True))

    def limit(window_ms: float) -> float:
        windows = max(DETECTORS * false_alarm_days * DAY_MS / window_ms, statistics.spacings[0])
        return shift.needed_rarity(math.log(windows))

    columns = tuple(_column(column, table) for column in statistics.columns)
    return Reference(digest, baseline, statistics.window_events, statistics.totals, columns, _TOGETHER, rarities, limit)


def _column(column: Column, table: FeatureTable) -> ShownColumn:
    features = {feature.name: feature for feature in table.features}
    feature = features.get(column.name)
    title, unit = (feature.title, feature.unit) if feature else _TITLES[column.name]
    bins: tuple[str, ...]
    if feature and feature.codes and len(feature.codes) == len(column.edges) + 1:
        bins = tuple(feature.codes[code] for code in sorted(feature.codes, key=int))
    else:
        bins = _ranges(column)
    return ShownColumn(column.name, title, "" if unit == "code" else unit, (*bins, "missing"), column.shares)


def _ranges(column: Column) -> tuple[str, ...]:
    """Return the bins of what is measured: from the first step above an edge to the last below the next."""
    half = column.step / 2
    if not column.edges:
        return ("any",)
    first, last = column.edges[0] - half, column.edges[-1] + half
    between = (
        f"{a + half:g}" if b - a < 1.5 * column.step else f"{a + half:g} to {b - half:g}"
        for a, b in pairwise(column.edges)
    )
    return (f"up to {first:g}", *between, f"from {last:g}")


def read_runbooks() -> dict[str, str]:
    """Return the runbooks, Markdown by the id of their rule; they come with the program."""
    return {
        file.name.removesuffix(".md"): file.read_text("utf-8")
        for file in files("runbooks").iterdir()
        if file.name.endswith(".md")
    }
