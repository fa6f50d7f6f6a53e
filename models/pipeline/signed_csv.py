"""A CSV file as a snapshot, where somebody whom the trust root knows has signed it.

The file lies in a directory with its signature and nothing else, as a bundle does: `model.sig` is an OpenSSF Model
Signing file over it, made by `cardiosentry sign` or the public tool (`model_signing sign key DIRECTORY --signature
DIRECTORY/model.sig --private_key model-signing.key`). Before anything of the file is parsed (csv_table.py),

1. the signature file names it, and no other file, with the SHA-256 of the bytes that were read;
2. a signer of the trust root made it, whatever they may release: whoever vouches for data releases nothing by that;
3. the trust root has not ended.

No column says who a patient is, so a row that repeats another one in everything is left out: it may be the same
patient.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from contracts.errors import UserError
from contracts.features import FeatureTable
from contracts.heart_disease import HEART_DISEASE
from models.bundle import SIGNATURE_FILE
from models.dataset import MAX_DATA_BYTES
from models.dsse import Envelope, Signature, key_id, signers_of
from models.keyfile import KeyFile
from models.oms import OmsError, read_signature
from models.pipeline.check import Report
from models.pipeline.collect import CollectPolicy, report
from models.pipeline.csv_table import parse_csv
from models.pipeline.snapshot import SnapshotWriter
from models.sign import signer
from models.trust import Trust

_MAX_SIGNATURE_BYTES = 1024 * 1024


def collect_csv(
    source: Path,
    directory: Path,
    public: X25519PublicKey,
    trust: Trust,
    policy: CollectPolicy,
    *,
    now_ms: int,
    table: FeatureTable = HEART_DISEASE,
) -> Report:
    """Make a snapshot in `directory`, an existing one, of the signed CSV file in the directory `source`.

    Raises `UserError` that names file, line, column and what was expected, and never repeats a value.
    """
    path, content, signed_by = read_signed(source, trust, now_ms=now_ms)
    x, y, sites = parse_csv(content, path, table)
    frame = _frame(hashlib.sha256(content).hexdigest(), x, y, sites, table)
    with SnapshotWriter(directory, table, public) as writer:
        writer.add(frame)
        repeated = len(y) - len(frame)
        manifest, digest = writer.finish(
            made_at=now_ms,
            made_from="csv",
            read={path.name: len(y)},
            left_out={path.name: {"repeated": repeated} if repeated else {}},
            signed_by=signed_by,
        )
    return report(manifest, digest, policy)


@dataclass(frozen=True)
class SignedFile:
    """A file that was signed: how many rows it has, how many of them repeat another, and who signed."""

    path: Path
    rows: int
    repeated: int
    signed_by: str


def sign_csv(
    source: Path,
    private_key: Path,
    passphrase: bytes | None,
    trust: Trust,
    *,
    now_ms: int,
    table: FeatureTable = HEART_DISEASE,
) -> SignedFile:
    """Sign the one CSV file in the directory `source`, in place of a signature that is there.

    Raises `UserError`, having signed nothing, for whatever `collect_csv` would refuse.
    """
    path = _file_in(source)
    key = key_id(KeyFile.load(private_key, passphrase).public_key)
    if key not in trust.root.signers:
        raise UserError(
            f"{private_key}: expected the key of a signer of the trust root, got another; "
            "`cardiosentry trust add` makes a signer known"
        )
    _check_not_ended(trust, now_ms)
    content = _read(path, MAX_DATA_BYTES)
    x, y, sites = parse_csv(content, path, table)
    signer(private_key, passphrase)(source)
    if read_signed(source, trust, now_ms=now_ms)[1] != content:
        (source / SIGNATURE_FILE).unlink()
        raise UserError(f"{path}: expected a file that nobody writes to, got one that changed while it was signed")
    distinct = _frame("", x, y, sites, table)
    return SignedFile(path, len(y), len(y) - len(distinct), trust.root.signers[key].name)


def read_signed(source: Path, trust: Trust, *, now_ms: int) -> tuple[Path, bytes, tuple[str, ...]]:
    """Return the path and bytes of the one file in `source` beside its signature, and who of the trust root signed."""
    path, signature = _file_in(source), source / SIGNATURE_FILE
    if not signature.exists():
        raise UserError(
            f"{source}: expected {SIGNATURE_FILE} beside {path.name}; `cardiosentry sign {source}` makes it"
        )
    content = _read(path, MAX_DATA_BYTES)
    try:
        signed, digests = read_signature(_read(signature, _MAX_SIGNATURE_BYTES))
    except OmsError as error:
        raise UserError(f"{signature}: {error}") from None
    if digests != {path.name: hashlib.sha256(content).hexdigest()}:  # 1
        raise UserError(f"{path}: expected the file that {SIGNATURE_FILE} is over, and it alone; got another")
    signers = _signers(signed.dsse_envelope, trust)  # 2
    if not signers:
        raise UserError(f"{signature}: expected a signature by a signer of the trust root, found none")
    _check_not_ended(trust, now_ms)  # 3
    return path, content, signers


def _file_in(source: Path) -> Path:
    """Return the one file in a directory beside the signature, if there is one."""
    try:
        others = [each for each in source.iterdir() if each.name != SIGNATURE_FILE]
    except OSError as error:
        raise UserError(f"{source}: expected a directory of one CSV file: {error.strerror}") from None
    if len(others) != 1 or others[0].is_symlink():
        raise UserError(f"{source}: expected one CSV file, which is no link, beside {SIGNATURE_FILE}, and nothing else")
    return others[0]


def _check_not_ended(trust: Trust, now_ms: int) -> None:
    if now_ms >= trust.root.expires_at:
        raise UserError("trust root: expected one that has not ended; renew it by `cardiosentry trust`")


def _signers(envelope: Envelope, trust: Trust) -> tuple[str, ...]:
    """Return the names of the trust root's signers whose signature it is; the format does not say whose key it is."""
    claims = tuple(Signature(each.sig, key) for each in envelope.signatures for key in trust.keys)
    found = signers_of(msgspec.structs.replace(envelope, signatures=claims), trust.keys)
    return tuple(sorted(trust.root.signers[key].name for key in found))


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"{path}: expected a file that can be read, got: {error.strerror}") from None
    if len(content) > limit:
        raise UserError(f"{path}: expected at most {limit} bytes, got more")
    return content


def _frame(
    sha256: str,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.int64],
    sites: list[str],
    table: FeatureTable,
) -> pd.DataFrame:
    """Return the rows in the order of their ids, each a patient of its own, those that repeat another left out."""
    ids = [hashlib.sha256(f"{sha256} {row}".encode()).hexdigest()[:32] for row in range(len(y))]
    frame = pd.DataFrame(x.astype(np.float32), columns=list(table.names))
    frame["site"], frame["diagnosis"] = sites, y.astype(np.int8)
    distinct = frame[~frame.duplicated()]
    named = [ids[row] for row in distinct.index]
    return distinct.assign(row_id=named, group=named, observed_on=None).sort_values("row_id")
