"""What is sealed for the reviewers is read by them alone, and every change to it or its headers shows."""

import hashlib
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import InvalidRecord, UserError
from contracts.reasons import Reason
from models.sealing import PrivateKey, generate_keys, load_public_key
from stream_app.quarantine import (
    DETAIL_HEADER,
    DIGEST_HEADER,
    MAX_COPY_BYTES,
    ORIGIN_HEADER,
    PRIVATE_KEY_FILE,
    PUBLIC_KEY_FILE,
    REASON_HEADER,
    SIZE_HEADER,
    WRAPPED_KEY_HEADER,
    Quarantined,
    Sealer,
    frame,
    unframe,
    unseal,
)
from tests.stream_app.support import REVIEWERS, SEALER

ERROR = InvalidRecord(Reason.SCHEMA, "expected no unknown field")
PLAIN = [REASON_HEADER, DETAIL_HEADER, ORIGIN_HEADER, DIGEST_HEADER, SIZE_HEADER]


def seal(*raw: bytes, sealer: Sealer = SEALER) -> list[Quarantined]:
    return sealer.seal((ERROR, f"patient-events/0/{100 + row}", bytes_) for row, bytes_ in enumerate(raw))


def opens(value: bytes, headers: dict[str, bytes], reviewers: PrivateKey = REVIEWERS) -> bytes:
    return unseal(reviewers, value, headers)


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=5))
@settings(deadline=None)
def test_what_was_sealed_opens_to_the_same_bytes(raw: list[bytes]) -> None:
    for found, bytes_ in zip(seal(*raw), raw, strict=True):
        assert opens(found.value, dict(found.headers)) == bytes_


@given(st.none() | st.binary(max_size=50), st.none() | st.binary(max_size=50))
def test_key_and_value_come_apart_as_they_went_together(key: bytes | None, value: bytes | None) -> None:
    assert unframe(frame(key, value)) == (key or b"", value or b"")


@pytest.mark.parametrize("over", [-1, 0, 1, 1_000_000])
def test_a_large_record_is_cut_with_the_digest_and_size_of_the_whole(over: int) -> None:
    raw = bytes(range(256)) * ((MAX_COPY_BYTES + over) // 256 + 1)
    raw = raw[: MAX_COPY_BYTES + over]
    (found,) = seal(raw)
    headers = dict(found.headers)
    assert opens(found.value, headers) == raw[:MAX_COPY_BYTES]
    assert headers[SIZE_HEADER] == str(len(raw)).encode()
    assert headers[DIGEST_HEADER] == b"sha256:" + hashlib.sha256(raw).hexdigest().encode()
    assert len(found.value) <= MAX_COPY_BYTES + 28  # nonce and tag


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=50)
def test_a_bit_flipped_in_the_sealed_bytes_or_the_wrapped_key_is_refused(place: int) -> None:
    (found,) = seal(b"Jane Doe")
    headers = dict(found.headers)
    whole = bytearray(found.value + headers[WRAPPED_KEY_HEADER])
    bit = place % (len(whole) * 8)
    whole[bit // 8] ^= 1 << bit % 8
    value, wrapped = bytes(whole[: len(found.value)]), bytes(whole[len(found.value) :])
    with pytest.raises(UserError, match="expected bytes sealed for this private key, unchanged since"):
        opens(value, {**headers, WRAPPED_KEY_HEADER: wrapped})


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("change", ["another value", "no value", "one more character", "left out"])
def test_a_changed_header_is_refused(name: str, change: str) -> None:
    (found,) = seal(b"Jane Doe")
    headers = dict(found.headers)
    if change == "left out":
        del headers[name]
    else:
        headers[name] = {"another value": b"x", "no value": b"", "one more character": headers[name] + b"0"}[change]
    with pytest.raises(UserError, match="unchanged since; they are not"):
        opens(found.value, headers)


def test_headers_that_changed_places_are_refused() -> None:
    (found,) = seal(b"Jane Doe")
    headers = dict(found.headers)
    headers[REASON_HEADER], headers[DETAIL_HEADER] = headers[DETAIL_HEADER], headers[REASON_HEADER]
    with pytest.raises(UserError):
        opens(found.value, headers)


@pytest.mark.parametrize(("one", "next_"), list(pairwise(PLAIN)))
def test_no_byte_can_move_from_one_header_to_the_next(one: str, next_: str) -> None:
    (found,) = seal(b"Jane Doe")
    headers = dict(found.headers)
    headers[one], headers[next_] = headers[one][:-1], headers[one][-1:] + headers[next_]
    with pytest.raises(UserError):
        opens(found.value, headers)


def test_one_records_sealed_bytes_under_anothers_headers_are_refused() -> None:
    one, other = seal(b"Jane Doe", b"John Roe")
    assert dict(one.headers)[WRAPPED_KEY_HEADER] == dict(other.headers)[WRAPPED_KEY_HEADER]
    with pytest.raises(UserError):
        opens(one.value, dict(other.headers))


@pytest.mark.parametrize("value", [b"", b"\0" * 11, b"\0" * 12, b"\0" * 28, b"no sealed bytes"])
def test_what_was_never_sealed_is_refused(value: bytes) -> None:
    (found,) = seal(b"Jane Doe")
    with pytest.raises(UserError, match="quarantined record patient-events/0/100"):
        opens(value, dict(found.headers))
    with pytest.raises(UserError, match=r"quarantined record \?"):
        opens(found.value, {})


def test_another_private_key_opens_nothing() -> None:
    (found,) = seal(b"Jane Doe")
    with pytest.raises(UserError, match="expected bytes sealed for this private key"):
        opens(found.value, dict(found.headers), PrivateKey(X25519PrivateKey.generate()))
    assert opens(found.value, dict(found.headers)) == b"Jane Doe"


@given(st.text("JaneDoe 0123456789", min_size=8, max_size=60))
@settings(deadline=None)
def test_nothing_of_the_record_stands_in_plain(secret: str) -> None:
    (found,) = seal(secret.encode())
    for part in [found.value, *(value for _, value in found.headers)]:
        assert secret.encode() not in part
        assert secret.encode()[:8] not in part


def test_the_same_record_is_never_sealed_to_the_same_bytes() -> None:
    sealed = [*seal(b"Jane Doe"), *seal(b"Jane Doe"), *seal(b"Jane Doe", b"Jane Doe")]
    assert len({found.value[12:] for found in sealed}) == len(sealed)


def test_keys_are_made_read_and_never_overwritten(tmp_path: Path) -> None:
    generate_keys(tmp_path, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE)
    private = PrivateKey.load(tmp_path / PRIVATE_KEY_FILE, "reviewers'")
    (found,) = seal(b"Jane Doe", sealer=Sealer(load_public_key(tmp_path / PUBLIC_KEY_FILE, "reviewers'")))
    assert opens(found.value, dict(found.headers), private) == b"Jane Doe"
    assert (tmp_path / PRIVATE_KEY_FILE).stat().st_mode & 0o777 == 0o600

    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError):
        generate_keys(tmp_path, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", [None, b"", b"not PEM", "private", "public", "another kind"], ids=str)
def test_a_file_that_is_not_the_key_is_named_and_refused(content: bytes | str | None, tmp_path: Path) -> None:
    """Each half is refused where the other is wanted: the worker must never hold the private one."""
    generate_keys(tmp_path, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE)
    other = Ed25519PrivateKey.generate()
    pem = {
        "private": (tmp_path / PRIVATE_KEY_FILE).read_bytes(),
        "public": (tmp_path / PUBLIC_KEY_FILE).read_bytes(),
        "another kind": other.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    }
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(pem[content] if isinstance(content, str) else content)
    if content != "public":
        with pytest.raises(UserError, match=r"key\.pem: expected"):
            load_public_key(file, "reviewers'")
    if content != "private":
        with pytest.raises(UserError, match=r"key\.pem: expected"):
            PrivateKey.load(file, "reviewers'")
