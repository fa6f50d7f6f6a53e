"""What the console is handed of models: the detector's own statistics, and bins that people can read."""

from pathlib import Path

import numpy as np
import pytest

from cli.console_models import ReleaseCatalogue, read_runbooks, reference_of
from contracts.reference import ALL
from contracts.settings import Settings
from models.keyfile import KeyFile
from models.release import listed, sign_release
from models.release_log import ReleaseLog
from models.roots import read_root
from models.sign import PRIVATE_KEY_FILE
from models.sketch import Sketcher
from models.store import open_store
from models.verify import VerifiedBundle, read_bundle, verify_files
from stream_app.detectors.drift import DriftDetector
from stream_app.detectors.rules import DETECTORS, load_rules
from tests.support.site import Site


def test_distance_and_limit_are_the_drift_detector_s(verified: VerifiedBundle) -> None:
    statistics = verified.manifest.reference_statistics
    assert statistics
    reference = reference_of(statistics, verified.manifest.feature_table, verified.digest, 0, false_alarm_days=30)
    draw = np.random.default_rng(5)
    values = np.column_stack([draw.uniform(column.low, column.high, 40) for column in statistics.columns[:-2]])
    sketch = Sketcher(statistics.columns).sketch(values, draw.uniform(size=40))
    windows = 100_000
    detector = DriftDetector(statistics, windows, statistic=ALL)
    assert dict(reference.rarities(sketch.totals, sketch.events)) == pytest.approx(detector.rarities(sketch))
    assert reference.limit(DETECTORS * 30 * 86_400_000 / windows) == pytest.approx(detector.threshold)


def test_every_bin_has_a_name_for_people(verified: VerifiedBundle) -> None:
    statistics = verified.manifest.reference_statistics
    assert statistics
    reference = reference_of(statistics, verified.manifest.feature_table, verified.digest, 0, false_alarm_days=30)
    columns = {column.name: column for column in reference.columns}
    assert all(len(column.bins) == len(set(column.bins)) == len(column.expected) for column in columns.values())
    assert columns["sex"].bins == ("female", "male", "missing")
    assert columns["missing"].bins[:2] == ("up to 0", "1")
    first, second, *_ = columns["age"].bins
    assert second.startswith(f"{int(first.removeprefix('up to ')) + 1} to ")


def test_models_go_on_being_named_while_the_store_is_away(site: Site, tmp_path: Path) -> None:
    store = tmp_path / "store"
    catalogue = ReleaseCatalogue(Settings(keys=str(site.keys), store=str(store)))
    assert catalogue.read([]) == catalogue.read([b"junk", b""])
    log = ReleaseLog(read_root(site.keys))
    files = read_bundle(site.bundle)
    digest = verify_files(files, log.trust.pems, where=site.bundle).digest
    key = KeyFile.load(site.keys / PRIVATE_KEY_FILE)
    now_ms = 1_790_000_000_000
    statement = sign_release(
        listed(files), digest, log, key, role="champion", reason="<b>first</b>", now_ms=now_ms, days=3650
    )
    models, reference = catalogue.read([statement])
    assert reference is None
    (row,) = models.rows
    assert (row.stage, row.release, row.digest, row.name, row.reason) == ("champion", 1, digest, None, "<b>first</b>")
    for content in files.values():
        open_store(str(store)).put(content)
    models, reference = catalogue.read([])
    assert models.rows[0].name == "heart-disease-uci"
    assert reference is not None
    assert (reference.digest, len(models.columns)) == (digest, 15)


def test_every_rule_has_a_runbook_that_comes_with_the_program() -> None:
    runbooks = read_runbooks()
    assert {rule.id for rule in load_rules().all} <= runbooks.keys()
    assert all(text.startswith("# ") for text in runbooks.values())
