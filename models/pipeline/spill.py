"""Rows that may be more than the memory holds, divided by row id into sealed files: each fits, and has all of an id."""

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from models.pipeline.sealed import SealedReader, SealedWriter
from models.sealing import KEY_BYTES

_ROWS = 50_000  # of a file, about 20 MB while they are joined
MOST_FILES = 128  # three kinds of rows are open at once, and a process may have 1,024 files by default


def files_for(rows: int) -> int:
    """Return into how many files so many rows are divided: a power of two, so that ids rise from file to file.

    Above `MOST_FILES` times 50,000 rows the files grow instead: 0.8 GB for a hundred million.
    """
    files = 1
    while files < MOST_FILES and rows > files * _ROWS:
        files *= 2
    return files


class Spill:
    """Rows of one kind. Their keys are in this process's memory alone: nobody can read what is left of the files."""

    def __init__(self, directory: Path, name: str, schema: "pa.Schema", files: int) -> None:
        self._schema = schema
        self._parts = [_Part(directory / f"{name}-{number}", schema) for number in range(files)]

    def add(self, columns: dict[str, Any]) -> None:
        """Add rows, a column by name each; `row_id` is text of hex digits."""
        table = pa.table(columns, schema=self._schema)
        if not len(table):
            return
        place = self._place(table["row_id"].to_pylist())
        order = np.argsort(place, kind="stable")
        table = table.take(order)
        bounds = np.searchsorted(place[order], np.arange(len(self._parts) + 1))
        for part, first, end in zip(self._parts, bounds[:-1], bounds[1:], strict=True):
            if end > first:
                part.write(table.slice(first, end - first))

    def close(self) -> None:
        """No more is added; what was can be read."""
        for part in self._parts:
            part.close()

    def rows(self, number: int) -> pd.DataFrame:
        """Return the rows of a file, in the order in which they were added, and delete it."""
        frame: pd.DataFrame = self._parts[number].read().to_pandas()
        return frame

    def _place(self, row_ids: list[str]) -> npt.NDArray[np.int64]:
        first = np.array([int(row_id[:2], 16) for row_id in row_ids], dtype=np.int64)
        return first * len(self._parts) // 256


class _Part:
    def __init__(self, path: Path, schema: "pa.Schema") -> None:
        self._path, self._key = path, os.urandom(KEY_BYTES)
        self._file: BinaryIO = path.open("xb")
        self._sealed = SealedWriter(self._file, self._key)
        self._stream = pa.ipc.new_stream(self._sealed, schema)

    def write(self, table: "pa.Table") -> None:
        self._stream.write_table(table)

    def close(self) -> None:
        self._stream.close()
        self._sealed.close()
        self._file.close()

    def read(self) -> "pa.Table":
        with self._path.open("rb") as file:
            table = pa.ipc.open_stream(SealedReader(file, self._key)).read_all()
        self._path.unlink()
        return table
