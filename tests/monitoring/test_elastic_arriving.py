"""Lines are read as they arrive: of a pipe none waits for those after it."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import pytest

from monitoring.elastic.arriving import arriving


@contextmanager
def pipe() -> Iterator[tuple[BufferedReader, int]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        yield file, writing


def test_what_came_by_a_pipe_is_given_though_it_goes_on() -> None:
    with pipe() as (file, writing):
        parts = arriving([file], 500, 0.05)
        os.write(writing, b"1\n2\nhal")
        assert next(parts) == [b"1", b"2"]
        os.write(writing, b"f\n")
        assert next(parts) == [b"half"]
        os.write(writing, b"last")
        threading.Timer(0.2, os.close, (writing,)).start()
        assert list(parts) == [[b"last"]]


@pytest.mark.parametrize("at_most", [1, 2, 3, 7, 500])
def test_every_line_of_every_file_comes_once_and_in_order(tmp_path: Path, at_most: int) -> None:
    lines = [str(number).encode() for number in range(20_000)]
    (tmp_path / "a").write_bytes(b"\n".join(lines))
    (tmp_path / "b").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "c").write_bytes(b"")
    with (tmp_path / "a").open("rb") as a, (tmp_path / "b").open("rb") as b, (tmp_path / "c").open("rb") as c:
        parts = list(arriving([a, b, c], at_most, 60))
    assert [line for part in parts for line in part] == lines * 2
    assert max(map(len, parts)) <= at_most
