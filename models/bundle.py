"""A bundle: a model as a directory, never a pickle.

| file | holds |
|---|---|
| model.onnx | the graph, imputation included: float32 (n, features) in, probability of disease float32 (n, 1) out |
| manifest.json | what the model reads, decides by, was made of and is worth |
| model.sig | the signature in the OpenSSF Model Signing format over all others |

It may hold further files with plain names, a tokenizer say. A bundle's digest names its bytes, the signature excepted
(signing the same model twice gives two signatures). Anybody can recompute it, without further files by
`sha256sum manifest.json model.onnx | sha256sum`.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from contracts.errors import UserError
from contracts.features import FeatureTable
from contracts.reference import ReferenceStatistics
from contracts.releases import Sha256

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "model.sig"
PROVENANCE_PREFIX = "provenance-"
"""Of the files that say where a bundle comes from (models/provenance.py)."""

BUNDLE_FILES = (MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE)


# Before reading: the demo's files are 24, 8 and 2 KB; a boosted forest of a thousand trees is a few MB.
MAX_BYTES = {MANIFEST_FILE: 4 * 1024 * 1024, MODEL_FILE: 64 * 1024 * 1024, SIGNATURE_FILE: 256 * 1024}
MAX_OTHER_BYTES = 64 * 1024 * 1024
MAX_FILES = 32

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class TrainingData(_Part, frozen=True, kw_only=True):
    """What the model learnt from: the file's SHA-256 and how many patients of it, repeats left out."""

    sha256: Sha256
    patients: Count
    positives: Count


class Evaluation(_Part, frozen=True, kw_only=True):
    """Short figures of the training run, out of fold, at the threshold; docs/model-card.md has the full story.

    `intervals` are their 95% intervals by bootstrap over patients, {figure: (low, high)}.
    """

    method: str
    auc: Fraction
    brier: Fraction
    recall: Fraction
    specificity: Fraction
    intervals: dict[str, tuple[Fraction, Fraction]] = {}


class ReferenceRow(_Part, frozen=True, kw_only=True):
    """Made-up features, None where missing, and the probability that the graph must give for them."""

    values: tuple[float | None, ...]
    probability: Fraction


class Manifest(_Part, frozen=True, kw_only=True):
    """Everything about a model that is not its graph. A reader refuses fields and formats that it does not know.

    A probability of at least `threshold` is the decision "positive". `libraries` are the versions of all that made the
    graph. `reference_rows` are tried before the model may score. `reference_statistics` are what drift is measured
    against; without them, as in bundles of other makers, there is no opinion on drift.
    """

    format: Literal[1] = 1
    name: Name
    version: Name
    feature_table: FeatureTable
    threshold: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    model_file: Literal["model.onnx"] = "model.onnx"
    model_bytes: Count
    input_name: str
    output_name: str
    training_data: TrainingData
    seed: int
    libraries: dict[str, str]
    evaluation: Evaluation
    reference_rows: Annotated[tuple[ReferenceRow, ...], msgspec.Meta(min_length=1, max_length=1000)]
    reference_statistics: ReferenceStatistics | None = None

    def __post_init__(self) -> None:
        if self.reference_statistics and not self.reference_statistics.fits(self.feature_table):
            raise ValueError("reference statistics: expected columns of the feature table")


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as JSON that people can read: the same manifest gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"


def decode_manifest(content: bytes) -> Manifest:
    """Parse a manifest strictly; raises `msgspec.DecodeError` (a `ValueError`)."""
    return msgspec.json.decode(content, type=Manifest)


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """Return the digest of a bundle from the content of its files by name; the signature, if there, is left out.

    >>> bundle_digest({"manifest.json": b"{}", "model.onnx": b""})[:23]
    'sha256:06859de4900a507f'
    """
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in digested(files))
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def max_bytes(name: str) -> int:
    """Return how large a bundle's file of this name may be."""
    return MAX_BYTES.get(name, MAX_OTHER_BYTES)


def digested(files: Iterable[str]) -> list[str]:
    """Return the names of the files that digest and signature cover, in their order: all but the signature."""
    return sorted(name for name in files if name != SIGNATURE_FILE)


def write_bundle(
    path: Path,
    manifest: Manifest,
    onnx: bytes,
    sign: Callable[[Path], None],
    provenance: Mapping[str, bytes] = {},
) -> str:
    """Write a signed bundle at `path` and return its digest; `provenance` are its statements, {file name: content}.

    `sign` gets the directory, complete but for the signature, and adds it. The bundle appears under its name only
    when it is whole. One that is there already is replaced; anything else that is there stays, and `UserError` is
    raised, as for a place that cannot be written. When `sign` raises, what was at `path` stays.
    """
    files = {MANIFEST_FILE: encode_manifest(manifest), MODEL_FILE: onnx, **provenance}
    path = Path(os.path.abspath(path))
    check_place(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=path.parent) as work:
            made = Path(work) / path.name  # its own name, because the signature records it
            made.mkdir(mode=0o755)
            for name, content in files.items():
                with (made / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            sign(made)
            _put_in_place(made, path, aside=Path(work) / "replaced")
    except OSError as error:
        raise UserError(f"{path}: expected a place where a bundle can be written, got: {error.strerror}") from error
    return bundle_digest(files)


def check_place(path: Path) -> None:
    """Raise `UserError` unless `path` is free for a bundle: nothing is there, a bundle or an empty directory."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        raise UserError(
            f"{path}: expected a bundle's directory or nothing there, got something else; choose another path"
        )
    others = sorted(child.name for child in path.iterdir() if not _is_ours(child))
    if others:
        raise UserError(
            f"{path}: expected a bundle's directory, got one that also holds {others[0]}; choose another path"
        )


def _is_ours(path: Path) -> bool:
    return path.is_file() and (path.name in BUNDLE_FILES or path.name.startswith(PROVENANCE_PREFIX))


def _put_in_place(made: Path, path: Path, aside: Path) -> None:
    """Rename `made` to `path`.

    A directory cannot be renamed over one that has files: an old bundle steps aside, and for an instant there is none.
    """
    if path.exists():
        path.rename(aside)
    try:
        made.rename(path)
    except OSError:
        if aside.exists():
            with contextlib.suppress(OSError):  # the first error is the one to report
                aside.rename(path)
        raise
