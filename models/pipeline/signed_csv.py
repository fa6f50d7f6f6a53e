"""A CSV file as a snapshot, where somebody whom the trust root knows has signed it.

The file lies in a directory with its signature and nothing else, as a bundle does: `model.sig` is an OpenSSF Model
Signing file over it, made by `models.sign` or the public tool (`model_signing sign key DIRECTORY --signature
DIRECTORY/model.sig --private_key model-signing.key`). Before anything of the file is parsed,

1. the signature file names it, and no other file, with the SHA-256 of the bytes that were read;
2. a signer of the trust root made it, whatever they may release: whoever vouches for data releases nothing by that;
3. the trust root has not ended.

Its header says which form it has: the UCI table's (models/dataset.py), or one column a feature by the name in the
feature table, `site` and `diagnosis` (0 or 1), in any order. Cells are numbers, empty where missing. No column says who
a patient is, so a row that repeats another one in everything is left out: it may be the same patient.
"""

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from contracts.errors import UserError
from contracts.features import FeatureTable, RangeCheck
from contracts.heart_disease import HEART_DISEASE
from models.bundle import SIGNATURE_FILE
from models.dataset import COLUMNS, MAX_DATA_BYTES, parse_dataset
from models.dsse import Envelope, Signature, signers_of
from models.oms import OmsError, read_signature
from models.pipeline.check import Report
from models.pipeline.collect import CollectPolicy, report
from models.pipeline.snapshot import SnapshotWriter
from models.trust import Trust

_SITE, _DIAGNOSIS = "site", "diagnosis"
_SITE_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _./-]{0,63}")
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
    if all(name in _header(content) for name in COLUMNS) and table is HEART_DISEASE:
        data = parse_dataset(content, path)
        x, y, sites = data.x.astype(np.float64), data.y, data.site.tolist()
    else:
        x, y, sites = _parse(content, path, table)
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


def read_signed(source: Path, trust: Trust, *, now_ms: int) -> tuple[Path, bytes, tuple[str, ...]]:
    """Return the path and bytes of the one file in `source` beside its signature, and who of the trust root signed."""
    try:
        names = sorted(each.name for each in source.iterdir())
    except OSError as error:
        raise UserError(
            f"{source}: expected a directory of a CSV file and {SIGNATURE_FILE}: {error.strerror}"
        ) from None
    if len(names) != 2 or SIGNATURE_FILE not in names:
        raise UserError(f"{source}: expected a CSV file and {SIGNATURE_FILE}, and nothing else")
    (name,) = (each for each in names if each != SIGNATURE_FILE)
    path, signature = source / name, source / SIGNATURE_FILE
    content = _read(path, MAX_DATA_BYTES)
    try:
        signed, digests = read_signature(_read(signature, _MAX_SIGNATURE_BYTES))
    except OmsError as error:
        raise UserError(f"{signature}: {error}") from None
    if digests != {name: hashlib.sha256(content).hexdigest()}:  # 1
        raise UserError(f"{path}: expected the file that {SIGNATURE_FILE} is over, and it alone; got another")
    signers = _signers(signed.dsse_envelope, trust)  # 2
    if not signers:
        raise UserError(f"{signature}: expected a signature by a signer of the trust root, found none")
    if now_ms >= trust.root.expires_at:  # 3
        raise UserError("trust root: expected one that has not ended; renew it by `cardiosentry trust`")
    return path, content, signers


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


def _header(content: bytes) -> Sequence[str]:
    line = content.split(b"\n", 1)[0].decode("utf-8-sig", "replace")
    try:
        return next(csv.reader([line.rstrip("\r")]), [])
    except csv.Error:
        return []  # of neither form, as the parser will say


def _parse(
    content: bytes, path: Path, table: FeatureTable
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], list[str]]:
    """Return features (n, features), diagnoses (n,) and sites of a file of a column a feature."""
    try:
        rows = _rows(io.StringIO(content.decode("utf-8-sig"), newline=""), path, (*table.names, _SITE, _DIAGNOSIS))
        values, diagnoses, sites, lines = [], [], [], []
        for line, row in rows:
            values.append([_number(row[name], name, path, line) for name in table.names])
            if row[_DIAGNOSIS].strip() not in ("0", "1"):
                raise UserError(f"{path}, line {line}, column {_DIAGNOSIS}: expected 0 (no disease) or 1")
            diagnoses.append(int(row[_DIAGNOSIS]))
            if not _SITE_FORM.fullmatch(row[_SITE].strip()):
                raise UserError(f"{path}, line {line}, column {_SITE}: expected a name of at most 64 plain characters")
            sites.append(row[_SITE].strip())
            lines.append(line)
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected UTF-8 text") from None
    except csv.Error:
        raise UserError(f"{path}: expected CSV, got a broken quotation or an endless cell") from None
    if not values:
        raise UserError(f"{path}: expected at least one record below the header")
    x = np.array(values, dtype=np.float64)
    for bad, name in RangeCheck(table)(x).items():
        low, high = next(feature.hard for feature in table.features if feature.name == name)
        raise UserError(
            f"{path}, line {lines[bad]}, column {name}: expected a value from {low:g} to {high:g}, or a code"
        )
    return x, np.array(diagnoses, dtype=np.int64), sites


def _rows(text: io.StringIO, path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(text, strict=True)
    header = list(reader.fieldnames or ())
    if sorted(header) != sorted(columns):
        raise UserError(f"{path}, line 1: expected the columns {', '.join(columns)}, each once and no others")
    for row in reader:
        if None in row or None in row.values():
            raise UserError(f"{path}, line {reader.line_num}: expected {len(header)} cells, as in the header")
        yield reader.line_num, row


def _number(text: str, column: str, path: Path, line: int) -> float:
    if not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if math.isfinite(value):
        return value
    raise UserError(f"{path}, line {line}, column {column}: expected a number, or nothing where it is missing")


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
