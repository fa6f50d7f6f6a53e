"""A MAC says who wrote a record and that nobody changed it since; a key speaks for its own sources alone."""

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.errors import UserError
from contracts.mac import KEY_ID_HEADER, MAC_HEADER, Headers, Keyring, SourceKey, compute_mac
from contracts.reasons import Reason

SECRET, NEXT = bytes(range(32)), bytes(range(32, 64))
OLD_KEY = SourceKey("uci-1", SECRET, ("uci", "synthetic/load"))
NEW_KEY = SourceKey("uci-2", NEXT, ("uci",))
KEYRING = Keyring({"uci-1": OLD_KEY, "uci-2": NEW_KEY})

KEY, VALUE = b"pp1_abc", b'{"a":1}'


def signed(
    key: bytes | None = KEY, value: bytes | None = VALUE, by: SourceKey = OLD_KEY
) -> list[tuple[str, bytes | None]]:
    return [(KEY_ID_HEADER, by.key_id.encode()), (MAC_HEADER, compute_mac(by.secret, key or b"", value or b""))]


def verdict(
    headers: Headers,
    key: bytes | None = KEY,
    value: bytes | None = VALUE,
    source: str = "uci",
    keyring: Keyring = KEYRING,
) -> bool | Reason:
    """Return whether one record is authenticated, or the reason why it is refused."""
    (authenticated,), wrong = keyring.authenticate([headers], [key], [value], [source])
    assert not (authenticated and wrong)
    return wrong[0].reason if wrong else authenticated


def test_the_mac_is_keyed_blake2b_over_length_key_and_value() -> None:
    """The vector that another language's producer is written by."""
    expected = hashlib.blake2b(b"\0\0\0\7pp1_abc" + VALUE, key=SECRET, digest_size=16).digest()
    assert compute_mac(SECRET, KEY, VALUE) == expected
    assert expected.hex() == "b3d921146b3bf16a3fb1507e68e3f12c"


@given(st.binary(max_size=60), st.binary(max_size=300))
def test_what_was_signed_holds(key: bytes, value: bytes) -> None:
    assert verdict(signed(key, value), key, value) is True


@given(st.binary(max_size=40), st.binary(min_size=1, max_size=80), st.data())
def test_a_bit_flipped_anywhere_is_refused(key: bytes, value: bytes, data: st.DataObject) -> None:
    headers = signed(key, value)
    mac = headers[1][1]
    assert mac is not None
    whole = bytearray(key + value + mac)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    key_, value_, mac_ = (bytes(whole[a:b]) for a, b in ((0, len(key)), (len(key), -16), (-16, None)))
    assert verdict([headers[0], (MAC_HEADER, mac_)], key_, value_) is Reason.MAC_WRONG


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 80))
def test_no_byte_can_move_between_key_and_value(key: bytes, value: bytes, cut: int) -> None:
    whole = key + value
    assume(cut <= len(whole) and cut != len(key))
    assert verdict(signed(key, value), whole[:cut], whole[cut:]) is Reason.MAC_WRONG


def test_a_null_key_or_value_is_signed_as_an_empty_one() -> None:
    assert verdict(signed(None, None), None, None) is True


MAC = signed()[1]
HEADERS: dict[str, tuple[Headers, bool | Reason]] = {
    "none": (None, False),
    "an empty list": ([], False),
    "others alone": ([("traceparent", b"00-1")], False),
    "key id and MAC": (signed(), True),
    "MAC before key id": (signed()[::-1], True),
    "others beside them": ([("traceparent", b"00-1"), *signed(), ("x", None)], True),
    "a MAC without a key id": ([MAC], Reason.MAC_KEY_UNKNOWN),
    "a key id without a MAC": (signed()[:1], Reason.MAC_WRONG),
    "a null MAC": ([signed()[0], (MAC_HEADER, None)], Reason.MAC_WRONG),
    "an empty MAC": ([signed()[0], (MAC_HEADER, b"")], Reason.MAC_WRONG),
    "a MAC in hexadecimal": ([signed()[0], (MAC_HEADER, (MAC[1] or b"").hex().encode())], Reason.MAC_WRONG),
    "a MAC cut short": ([signed()[0], (MAC_HEADER, (MAC[1] or b"")[:15])], Reason.MAC_WRONG),
    "a MAC with more behind it": ([signed()[0], (MAC_HEADER, (MAC[1] or b"") + b"\0")], Reason.MAC_WRONG),
    "an unknown key id": ([(KEY_ID_HEADER, b"nobody"), MAC], Reason.MAC_KEY_UNKNOWN),
    "a null key id": ([(KEY_ID_HEADER, None), MAC], Reason.MAC_KEY_UNKNOWN),
    "a key id that is not UTF-8": ([(KEY_ID_HEADER, b"\xff"), MAC], Reason.MAC_KEY_UNKNOWN),
    "a key id in another case": ([(KEY_ID_HEADER, b"UCI-1"), MAC], Reason.MAC_KEY_UNKNOWN),
    "another key's id": ([(KEY_ID_HEADER, b"uci-2"), MAC], Reason.MAC_WRONG),
    "the same twice": ([*signed(), *signed()], True),
    "a wrong MAC behind the right one": ([*signed(), (MAC_HEADER, bytes(16))], Reason.MAC_WRONG),
    "an unknown key id behind the right one": ([*signed(), (KEY_ID_HEADER, b"nobody")], Reason.MAC_KEY_UNKNOWN),
    "the right ones behind wrong ones": ([(KEY_ID_HEADER, b"nobody"), (MAC_HEADER, bytes(16)), *signed()], True),
}


@pytest.mark.parametrize("name", HEADERS)
def test_of_headers_the_last_of_each_name_counts(name: str) -> None:
    headers, expected = HEADERS[name]
    assert verdict(headers) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    {
        "uci": True,
        "uci/cleveland": True,
        "uci/cleveland/3": True,
        "synthetic/load": True,
        "synthetic/load/1": True,
        "uci2": Reason.SOURCE_NOT_BOUND,
        "uci-cleveland": Reason.SOURCE_NOT_BOUND,
        "uc": Reason.SOURCE_NOT_BOUND,
        "synthetic": Reason.SOURCE_NOT_BOUND,
        "synthetic/loads": Reason.SOURCE_NOT_BOUND,
        "x/uci": Reason.SOURCE_NOT_BOUND,
        "": Reason.SOURCE_NOT_BOUND,
    }.items(),
)
def test_a_key_speaks_for_its_sources_and_what_is_below_them(source: str, expected: bool | Reason) -> None:
    for _ in range(2):  # the second look is answered from memory
        assert verdict(signed(), source=source) is expected


def test_a_flood_of_sources_changes_no_verdict() -> None:
    sources = [f"uci/{number}" for number in range(25_000)]
    keyring = Keyring({"uci-1": OLD_KEY})
    authenticated, wrong = keyring.authenticate(
        [signed()] * len(sources), [KEY] * len(sources), [VALUE] * len(sources), sources
    )
    assert (all(authenticated), wrong) == (True, {})
    assert verdict(signed(), source="uci2", keyring=keyring) is Reason.SOURCE_NOT_BOUND
    assert verdict(signed(), source="uci/1", keyring=keyring) is True


@given(
    st.lists(st.sampled_from(list(HEADERS)), max_size=8),
    st.lists(st.sampled_from(["uci", "uci2"]), min_size=8, max_size=8),
)
def test_a_batch_is_judged_as_its_records_one_by_one(names: list[str], sources: list[str]) -> None:
    headers, sources = [HEADERS[name][0] for name in names], sources[: len(names)]
    authenticated, wrong = KEYRING.authenticate(headers, [KEY] * len(names), [VALUE] * len(names), sources)
    together = [wrong[i].reason if i in wrong else authenticated[i] for i in range(len(names))]
    assert together == [verdict(h, source=s) for h, s in zip(headers, sources, strict=True)]


def test_while_keys_rotate_both_are_taken_and_the_newest_signs() -> None:
    assert verdict(signed(by=OLD_KEY)) is True
    assert verdict(signed(by=NEW_KEY)) is True
    assert KEYRING.key_for("uci/cleveland") is NEW_KEY
    assert KEYRING.key_for("synthetic/load") is OLD_KEY
    assert verdict(signed(by=NEW_KEY), source="synthetic/load") is Reason.SOURCE_NOT_BOUND


def test_a_retired_key_is_refused_and_the_new_one_taken() -> None:
    keyring = Keyring({"uci-2": NEW_KEY})
    assert verdict(signed(by=OLD_KEY), keyring=keyring) is Reason.MAC_KEY_UNKNOWN
    assert verdict(signed(by=NEW_KEY), keyring=keyring) is True


def test_a_source_that_no_key_is_bound_to_cannot_be_signed_for() -> None:
    with pytest.raises(UserError, match="expected a key bound to source 'uci2', found none"):
        KEYRING.key_for("uci2")


def test_a_secret_is_not_in_what_a_key_shows_of_itself() -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    key = SourceKey("uci-1", secret, ("uci",))
    for shown in (repr(key), str(key), repr(key.__rich_repr__()), repr(Keyring({"uci-1": key}))):
        assert "0123" not in shown


ENTRY = f'["uci-1"]\nsecret = "{SECRET.hex()}"\nsources = ["uci"]\n'


def test_a_keyring_file_is_read() -> None:
    keyring = Keyring.from_toml(ENTRY + ENTRY.replace("uci-1", "uci-2"), origin="keyring.toml")
    assert keyring.key_for("uci/x").key_id == "uci-2"
    assert verdict(signed(), keyring=keyring) is True


@pytest.mark.parametrize(
    ("text", "message"),
    {
        "no TOML": ("[", "expected a TOML keyring, got a syntax error"),
        "no tables": ("a = 1", "expected tables with `secret` and `sources`"),
        "no sources": (f'[a]\nsecret = "{SECRET.hex()}"', "expected tables with `secret` and `sources`"),
        "an unknown entry": (ENTRY + "admin = true", "expected tables with `secret` and `sources`"),
        "an empty list of sources": (ENTRY.replace('["uci"]', "[]"), "at least one source"),
        "a wildcard": (ENTRY.replace('["uci"]', '["*"]'), "at least one source of the form"),
        "an empty source": (ENTRY.replace('["uci"]', '[""]'), "at least one source of the form"),
        "a source that ends with a slash": (ENTRY.replace('["uci"]', '["uci/"]'), "of the form site/ward/device"),
        "a short secret": (ENTRY.replace(SECRET.hex(), "00" * 31), "a secret of 32 bytes, got 31"),
        "an empty secret": (ENTRY.replace(SECRET.hex(), ""), "a secret of 32 bytes, got 0"),
        "a secret that is not hexadecimal": (ENTRY.replace(SECRET.hex(), "hunter2" * 9), "expected secrets of 64 hex"),
    }.values(),
)
def test_a_keyring_that_is_not_sound_is_refused_without_a_word_of_its_secrets(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Keyring.from_toml(text, origin="keyring.toml")
    assert str(caught.value).startswith("keyring.toml: ")
    assert SECRET.hex() not in str(caught.value)
    assert "hunter2" not in str(caught.value)
