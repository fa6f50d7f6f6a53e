"""A snapshot: the rows that a model is trained on, sealed, and the manifest by whose SHA-256 it is named elsewhere.

Two files: `snapshot.json`, the manifest, which holds counts and no row, and the rows as Parquet, sealed for the
pipeline's key in a file that is named by the SHA-256 of the Parquet. Anybody may seal for a public key: what says that
a snapshot is ours is the manifest's digest, in a signed statement. A row has

| column | holds |
|---|---|
| row_id | 32 hex digits of the SHA-256 of the event's id: who knows an event finds its row, and nobody the way back |
| site | the first part of its source, or as many as the policy says |
| observed_on | the Monday of the week in which it was observed; null where unknown |
| group | the patient: a hash under a key that nobody has any more, the same within one snapshot alone |
| a feature each | float32, null where missing |
| diagnosis | 1: disease, 0: none |

The week, not the day: training splits by time and leaves out what is old, for which weeks do, while a day and an age
name a patient to whoever saw a ward's list of that day. Rows come in the order of their ids.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from contracts.errors import UserError
from contracts.features import FeatureTable, Matrix
from contracts.releases import Digest, Sha256, table_digest
from models.pipeline.sealed import BrokenSeal, SealedReader, SealedWriter, seal_for, unseal
from models.sealing import Unwrapper

MANIFEST_FILE = "snapshot.json"
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024
_AT_ONCE = 1 << 20

Places = dict[str, dict[int, tuple[int, int]]]
"""Which records: by topic and partition, the first offset and the one to stop before."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a snapshot holds and where it is from.

    `content` and `bytes` are of the Parquet file in the clear. `positives` have the diagnosis 1, `weeks` are the first
    and the last observed. `read` counts records by topic (or the rows of a CSV file), and `left_out` what did not come
    to a row, by topic and reason. `places` are of the topics, `signed_by` the names of who signed the CSV file.
    """

    format: Literal[1] = 1
    made_at: int
    made_from: Literal["topics", "csv"]
    content: Sha256
    bytes: int
    rows: int
    positives: int
    sites: dict[str, int]
    weeks: tuple[str, str] | None
    feature_table: str
    feature_table_version: int
    feature_table_digest: Sha256
    read: dict[str, int]
    left_out: dict[str, dict[str, int]]
    places: Places = {}
    signed_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Rows as arrays: `x` (n, features) float32, NaN where missing, `y` (n,) int64, the others (n,).

    `observed_on` is datetime64[D], NaT where unknown.
    """

    x: Matrix
    y: npt.NDArray[np.int64]
    site: npt.NDArray[np.str_]
    group: npt.NDArray[np.str_]
    row_id: npt.NDArray[np.str_]
    observed_on: npt.NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.y)


def schema_of(table: FeatureTable) -> "pa.Schema":
    """Return the Parquet schema of a snapshot under `table`."""
    return pa.schema(
        [
            pa.field("row_id", pa.string(), nullable=False),
            pa.field("site", pa.string(), nullable=False),
            pa.field("observed_on", pa.date32()),
            pa.field("group", pa.string(), nullable=False),
            *(pa.field(name, pa.float32()) for name in table.names),
            pa.field("diagnosis", pa.int8(), nullable=False),
        ]
    )


class SnapshotWriter:
    """Writes a snapshot into an empty `directory`, sealed for `public`. Left without `finish`, it leaves nothing."""

    def __init__(self, directory: Path, table: FeatureTable, public: X25519PublicKey) -> None:
        self._directory, self._table = directory, table
        self._schema = schema_of(table)
        self._new = directory / "rows.new"
        self._file = self._new.open("xb")
        self._sealed = seal_for(public, self._file)
        self._digest = _Digesting(self._sealed)
        self._parquet = pq.ParquetWriter(self._digest, self._schema, compression="zstd")
        self._rows = self._positives = 0
        self._last_id = ""
        self._sites: dict[str, int] = {}
        self._weeks: tuple[str, str] | None = None

    def add(self, frame: pd.DataFrame) -> None:
        """Add rows with the columns of `schema_of`, ids rising; missing features are NaN."""
        if frame.empty:
            return
        ids = frame["row_id"]
        if not (ids.is_monotonic_increasing and ids.is_unique and ids.iloc[0] > self._last_id):
            raise ValueError("rows of a snapshot: expected ids that rise, each once")
        self._last_id = ids.iloc[-1]
        self._parquet.write_table(pa.Table.from_pandas(frame, self._schema, preserve_index=False))
        self._rows += len(frame)
        self._positives += int(frame["diagnosis"].sum())
        for site, count in frame["site"].value_counts().items():
            self._sites[str(site)] = self._sites.get(str(site), 0) + int(count)
        weeks = frame["observed_on"].dropna()
        if len(weeks):
            seen = (str(weeks.min())[:10], str(weeks.max())[:10], *(self._weeks or ()))
            self._weeks = min(seen), max(seen)

    def finish(
        self,
        *,
        made_at: int,
        made_from: Literal["topics", "csv"],
        read: dict[str, int],
        left_out: dict[str, dict[str, int]],
        places: Places | None = None,
        signed_by: tuple[str, ...] = (),
    ) -> tuple[Manifest, str]:
        """Write the manifest last; return it and its digest ("sha256:…"), by which the snapshot is named."""
        self._parquet.close()
        self._sealed.close()
        os.fsync(self._file.fileno())
        self._file.close()
        manifest = Manifest(
            made_at=made_at,
            made_from=made_from,
            content=self._digest.sha256.hexdigest(),
            bytes=self._sealed.tell(),
            rows=self._rows,
            positives=self._positives,
            sites=dict(sorted(self._sites.items())),
            weeks=self._weeks,
            feature_table=self._table.name,
            feature_table_version=self._table.version,
            feature_table_digest=table_digest(self._table),
            read=read,
            left_out={topic: dict(sorted(counts.items())) for topic, counts in left_out.items()},
            places=places or {},
            signed_by=signed_by,
        )
        self._new.rename(self._directory / rows_file(manifest))
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        (self._directory / MANIFEST_FILE).write_bytes(content)
        return manifest, "sha256:" + hashlib.sha256(content).hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._file.closed:
            self._file.close()
        self._new.unlink(missing_ok=True)


class _Digesting:
    """A file that is written in order, and the SHA-256 of what was."""

    closed = False

    def __init__(self, file: SealedWriter) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def rows_file(manifest: Manifest) -> str:
    """Return the name of the file of a snapshot's rows."""
    return f"{manifest.content}.parquet.sealed"


class Snapshot:
    """A snapshot that was verified when it was opened; rows are read from it as often as wanted.

    Each chunk that is read is authenticated again, so that a file that changes meanwhile is refused.
    """

    def __init__(self, manifest: Manifest, table: FeatureTable, sealed: SealedReader, file: BinaryIO) -> None:
        self.manifest = manifest
        self._table, self._sealed, self._file = table, sealed, file

    @classmethod
    def open(cls, directory: Path, digest: Digest, private: Unwrapper, table: FeatureTable) -> "Snapshot":
        """Verify the snapshot in `directory` and return it, in this order:

        1. The manifest is the one of this `digest` ("sha256:…"), and is one.
        2. It is of this feature table.
        3. The rows are sealed for this key and whole: every chunk opens, and together they have the manifest's digest.
        4. The Parquet file has the schema of the table and as many rows as the manifest says.

        Raises `UserError` that names the file.
        """
        path = directory / MANIFEST_FILE
        manifest = _read_manifest(path, digest)  # 1
        if manifest.feature_table_digest != table_digest(table):  # 2
            raise UserError(
                f"{path}: expected rows of the feature table {table.name} version {table.version}, got those of "
                f"{manifest.feature_table} version {manifest.feature_table_version}, or of another of that name"
            )
        rows = directory / rows_file(manifest)
        try:
            file = rows.open("rb")
        except OSError as error:
            raise UserError(f"{rows}: expected the rows of the snapshot: {error.strerror}") from None
        with ExitStack() as stack:
            stack.callback(file.close)
            try:
                sealed = unseal(private, file)  # 3
                found = hashlib.sha256()
                while piece := sealed.read(_AT_ONCE):
                    found.update(piece)
            except BrokenSeal as error:
                raise UserError(f"{rows}: {error}") from None
            if found.hexdigest() != manifest.content:
                raise UserError(f"{rows}: expected the rows of the manifest, SHA-256 {manifest.content}, got others")
            snapshot = cls(manifest, table, sealed, file)
            parquet = snapshot._parquet()  # 4
            if not parquet.schema_arrow.equals(schema_of(table)) or parquet.metadata.num_rows != manifest.rows:
                raise UserError(f"{rows}: expected {manifest.rows} rows of the feature table {table.name}, got others")
            stack.pop_all()
        return snapshot

    def frames(self) -> Iterator[pd.DataFrame]:
        """Yield the rows in pieces of some tens of thousands, for what is larger than the memory."""
        try:
            parquet = self._parquet()
            for group in range(parquet.num_row_groups):
                yield parquet.read_row_group(group).to_pandas()
        except BrokenSeal as error:
            raise UserError(f"{self._file.name}: {error}") from None

    def rows(self) -> Rows:
        """Return all rows as arrays."""
        empty = schema_of(self._table).empty_table().to_pandas()
        frame = pd.concat([empty, *self.frames()], ignore_index=True) if self.manifest.rows else empty
        return Rows(
            x=frame[list(self._table.names)].to_numpy(dtype=np.float32),
            y=frame["diagnosis"].to_numpy(dtype=np.int64),
            site=frame["site"].to_numpy(dtype=np.str_),
            group=frame["group"].to_numpy(dtype=np.str_),
            row_id=frame["row_id"].to_numpy(dtype=np.str_),
            observed_on=pd.to_datetime(frame["observed_on"]).to_numpy(dtype="datetime64[D]"),
        )

    def close(self) -> None:
        """Nothing more is read."""
        self._file.close()

    def _parquet(self) -> "pq.ParquetFile":
        self._sealed.seek(0)
        return pq.ParquetFile(pa.PythonFile(self._sealed, mode="r"))


def _read_manifest(path: Path, digest: str) -> Manifest:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_MANIFEST_BYTES)
    except OSError as error:
        raise UserError(f"{path}: expected a snapshot's manifest: {error.strerror}") from None
    if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
        raise UserError(f"{path}: expected the manifest {digest}, got another")
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UserError(f"{path}: expected a snapshot's manifest of format 1, got another") from None
