"""A sealed file gives back what was written, from any place, or says that it was changed."""

import io
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pipeline import sealed
from models.pipeline.sealed import CHUNK_BYTES, BrokenSeal, SealedReader, SealedWriter, seal_for, unseal
from models.sealing import PrivateKey

KEY = bytes(range(32))
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
TAG = 16


def sealing(content: bytes, pieces: int = 1) -> bytes:
    file = io.BytesIO()
    with SealedWriter(file, KEY) as writer:
        step = len(content) // pieces + 1
        for start in range(0, len(content), step):
            writer.write(content[start : start + step])
    return file.getvalue()


def opening(sealed_bytes: bytes) -> bytes:
    return SealedReader(io.BytesIO(sealed_bytes), KEY).readall()


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_is_read_again_however_it_was_written(size: int, pieces: int) -> None:
    content = os.urandom(size)
    assert opening(sealing(content, pieces)) == content
    assert sealing(content, pieces) == sealing(content)


@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 100_000)), max_size=8))
@settings(max_examples=40, deadline=None)
def test_it_is_read_from_any_place(reads: list[tuple[int, int]]) -> None:
    content = bytes(range(251)) * 700  # nearly three chunks
    reader = SealedReader(io.BytesIO(sealing(content)), KEY)
    for place, count in reads:
        reader.seek(place)
        assert reader.read(count) == content[place : place + count]
    assert reader.seek(-5, os.SEEK_END) == len(content) - 5


@given(st.sampled_from(SIZES), st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_or_a_cut_end_is_refused(size: int, data: st.DataObject) -> None:
    whole = sealing(b"a" * size)
    place = data.draw(st.integers(0, len(whole) - 1), label="place")
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    for changed in (bytes(flipped), whole[:place], whole + b"\0"):
        with pytest.raises(BrokenSeal):
            opening(changed)


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 2], [0, 1], [0, 1, 1, 2], [0, 1, 2, 2]], ids=str)
def test_chunks_that_were_moved_repeated_or_left_out_are_refused(order: list[int]) -> None:
    whole = sealing(os.urandom(2 * CHUNK_BYTES + 100))
    chunks = [whole[start : start + CHUNK_BYTES + TAG] for start in range(0, len(whole), CHUNK_BYTES + TAG)]
    assert len(chunks) == 3
    with pytest.raises(BrokenSeal):
        opening(b"".join(chunks[number] for number in order))


def test_a_file_opens_with_the_private_key_alone(tmp_path: Path) -> None:
    ours, other = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    path = tmp_path / "rows"
    with path.open("wb") as file, seal_for(ours.public_key(), file) as writer:
        writer.write(b"age 63")
    assert b"age 63" not in path.read_bytes()
    with path.open("rb") as found:
        assert unseal(PrivateKey(ours), found).readall() == b"age 63"
    with path.open("rb") as found, pytest.raises(BrokenSeal, match="wrapped for this private key"):
        unseal(PrivateKey(other), found)


@pytest.mark.parametrize("place", [0, len(sealed._MAGIC), sealed._HEAD_BYTES - 1])
def test_a_changed_head_is_refused(place: int, tmp_path: Path) -> None:
    key = X25519PrivateKey.generate()
    path = tmp_path / "rows"
    with path.open("wb") as file, seal_for(key.public_key(), file) as writer:
        writer.write(b"age 63")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with path.open("rb") as changed, pytest.raises(BrokenSeal):
        unseal(PrivateKey(key), changed).readall()


def test_a_file_that_is_cut_in_its_head_is_refused() -> None:
    with pytest.raises(BrokenSeal, match="sealed file of version 1"):
        unseal(PrivateKey(X25519PrivateKey.generate()), io.BytesIO(b"cardiosentry sealed 1\n"))
