"""From a release to a model that can score: fetch, check, verify, load, warm up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from contracts.errors import ModelRejected
from contracts.events import Event, event_type
from contracts.features import FeatureTable
from contracts.releases import Release, table_digest
from models.provenance import PROVENANCE, check_chain
from models.release_log import ReleaseLog
from models.scorer import Scorer
from models.store import Store, fetch
from models.trust import check_files
from models.verify import verify_files
from stream_app.decode import Decoder
from stream_app.model_slot import LoadedModel
from stream_app.score import ScoreStage

_WARM_UP_ROWS = 1000


class Loader:
    """Loads releases from `store` under the trust root of `releases`; `decoder` makes the decoder of a table."""

    def __init__(self, store: Store, releases: ReleaseLog, decoder: Callable[[type[Event]], Decoder[Event]]) -> None:
        self._store = store
        self._releases = releases
        self._decoder = decoder

    def __call__(self, release: Release) -> LoadedModel:
        """Return the model; raises `ModelRejected` for a check that fails, `RetryableError` for an absent store."""
        files = fetch(self._store, release)
        check_files(release, files)
        where = Path(f"release {release.role} {release.version}")
        trust = self._releases.trust_of(release)
        bundle = verify_files(files, trust.pems, where=where)
        if PROVENANCE in trust.root.roles[release.role].attestations:
            check_chain(files, trust.keys, str(where))
        if bundle.digest != release.digest:
            raise ModelRejected(f"{where}: expected the bundle {release.digest}, got {bundle.digest}")
        _check_table(bundle.manifest.feature_table, self._releases.trust.root.feature_table, where)
        scorer = Scorer(bundle)
        width = len(bundle.manifest.feature_table.features)
        scorer.score(np.full((_WARM_UP_ROWS, width), np.nan, dtype=np.float32))
        return LoadedModel(
            release, bundle, self._decoder(event_type(bundle.manifest.feature_table)), ScoreStage(scorer, release.role)
        )


def _check_table(table: FeatureTable, expected: str, where: Path) -> None:
    found = table_digest(table)
    if found != expected:
        raise ModelRejected(
            f"{where}: expected the feature table {expected[:12]}… of the trust root, got {found[:12]}…"
        )
