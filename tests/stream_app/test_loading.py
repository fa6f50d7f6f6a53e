"""From a release to a model: what does not fit together does not load."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from contracts.errors import ModelRejected, RetryableError
from contracts.features import FeatureTable
from contracts.heart_disease import HEART_DISEASE
from contracts.releases import DAY_MS, RELEASE_TYPE, ROOT_TYPE, Release, ReleasedFile
from models.bundle import MODEL_FILE, bundle_digest
from models.dsse import encode_envelope, seal
from models.keyfile import KeyFile
from models.provenance import PROVENANCE, STEPS, file_of
from models.release_log import ReleaseLog
from models.roots import make_first_root, with_attestation
from models.sign import sign_bundle
from models.store import DirectoryStore
from models.trust import first_root
from models.verify import read_bundle
from stream_app.decode import Decoder
from stream_app.loading import Loader
from stream_app.model_slot import LoadedModel
from tests.conftest import Trained
from tests.models.signers import BOB, NOW_MS
from tests.models.test_provenance import made as chain_of
from tests.stream_app.support import CHECKS, batch_of, good_event, wire
from tests.stream_app.support import NOW_MS as SCORED_MS

Change = Callable[[dict[str, bytes]], object]


def load(
    trained: Trained,
    store: DirectoryStore,
    release: Release,
    *then: bytes,
    table: FeatureTable = HEART_DISEASE,
    wanting: str = "",
) -> LoadedModel:
    """Load a release that was accepted, and followed by the records `then`."""
    key = KeyFile.load(trained.private_key)
    log = ReleaseLog(first_root(_root(key, table, wanting)))
    for record in (encode_envelope(seal(RELEASE_TYPE, msgspec.json.encode(release), [key])), *then):
        log.read(record)
    return Loader(store, log, lambda event: Decoder(event, "observed_at", require_mac=True, **CHECKS))(release)


def _root(key: KeyFile, table: FeatureTable, wanting: str) -> bytes:
    made = make_first_root(key, "Ada", table, now_ms=NOW_MS)
    if not wanting:
        return made
    root = with_attestation(first_root(made).root, "champion", wanting, wanted=True)
    return encode_envelope(seal(ROOT_TYPE, msgspec.json.encode(root), [key]))


def release_of(files: dict[str, bytes], **changes: object) -> Release:
    listed = tuple(
        ReleasedFile(name=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for name, content in files.items()
    )
    made = Release(
        role="champion",
        version=3,
        digest=bundle_digest(files),
        files=listed,
        created_at=NOW_MS,
        expires_at=NOW_MS + DAY_MS,
        reason="a test",
    )
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def put(store: DirectoryStore, files: dict[str, bytes]) -> dict[str, bytes]:
    for content in files.values():
        store.put(content)
    return files


def test_a_released_bundle_scores(trained: Trained, store: DirectoryStore) -> None:
    release = release_of(put(store, read_bundle(trained.bundle)))
    model = load(trained, store, release)
    assert (model.release, model.bundle.digest) == (release, trained.digest)
    decoded = model.decoder(batch_of([wire(good_event())]), SCORED_MS)
    assert trained.digest.encode() in model.score(decoded, SCORED_MS).predictions[0]


def test_a_store_without_the_files_may_have_them_later(trained: Trained, store: DirectoryStore) -> None:
    with pytest.raises(RetryableError, match="expected the file"):
        load(trained, store, release_of(read_bundle(trained.bundle)))


def test_a_bundle_for_other_features_is_refused(trained: Trained, store: DirectoryStore) -> None:
    release = release_of(put(store, read_bundle(trained.bundle)))
    other = msgspec.structs.replace(HEART_DISEASE, max_missing=HEART_DISEASE.max_missing - 1)
    with pytest.raises(ModelRejected, match="expected the feature table"):
        load(trained, store, release, table=other)


def test_a_statement_that_names_another_bundle_is_refused(trained: Trained, store: DirectoryStore) -> None:
    release = release_of(put(store, read_bundle(trained.bundle)), digest="sha256:" + "0" * 64)
    with pytest.raises(ModelRejected, match="expected the bundle sha256:000"):
        load(trained, store, release)


def test_a_bundle_of_a_signer_who_left_since_is_loaded(trained: Trained, store: DirectoryStore) -> None:
    """A worker that starts again must end on the model that the others score with."""
    release = release_of(put(store, read_bundle(trained.bundle)))
    ada = KeyFile.load(trained.private_key)
    first = first_root(make_first_root(ada, "Ada", HEART_DISEASE, now_ms=NOW_MS)).root
    bob = BOB.key
    heir = msgspec.structs.replace(first, version=2, signers={BOB.id: BOB.entry}, root_signers=(BOB.id,))
    following = encode_envelope(seal(ROOT_TYPE, msgspec.json.encode(heir), [ada, bob]))
    assert load(trained, store, release, following).bundle.digest == trained.digest


DAMAGES: dict[str, tuple[Change, str]] = {
    "a changed model": (lambda f: f.update({"model.onnx": f["model.onnx"] + b"x"}), "the bytes that were signed"),
    "another signature": (lambda f: f.update({"model.sig": b"{}"}), "OpenSSF Model Signing"),
    "a file that nobody signed": (lambda f: f.update({"tokenizer.pkl": b"x"}), "a file that the signature is over"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_released_bundle_must_carry_its_own_signature(trained: Trained, store: DirectoryStore, damage: str) -> None:
    """Even where the statement vouches for the bytes: who releases and who trains may be different people."""
    change, said = DAMAGES[damage]
    files = read_bundle(trained.bundle)
    change(files)
    with pytest.raises(ModelRejected, match=said):
        load(trained, store, release_of(put(store, files)))


@pytest.mark.parametrize("without", ["", *STEPS])
def test_where_provenance_is_wanted_a_bundle_with_a_hole_in_its_chain_is_refused(
    trained: Trained, store: DirectoryStore, tmp_path: Path, without: str
) -> None:
    """Whatever the release says of itself, and however well bundle and release are signed."""
    bundle = Path(shutil.copytree(trained.bundle, tmp_path / "bundle"))
    statements = chain_of((bundle / MODEL_FILE).read_bytes(), KeyFile.load(trained.private_key))
    for name, content in statements.items():
        if name not in (MODEL_FILE, file_of(without)):
            (bundle / name).write_bytes(content)
    sign_bundle(bundle, trained.private_key)
    release = release_of(put(store, read_bundle(bundle)), attestations=(PROVENANCE,))
    if not without:
        assert load(trained, store, release, wanting=PROVENANCE).bundle.digest == release.digest
        return
    with pytest.raises(ModelRejected, match=f"provenance of {without}: expected a statement of this step"):
        load(trained, store, release, wanting=PROVENANCE)
    assert load(trained, store, release).bundle.digest == release.digest
