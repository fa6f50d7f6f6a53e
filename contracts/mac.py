"""Message authentication: which source wrote a record, and that nobody changed it since.

A record carries two headers, the id of its key and a MAC over its key and value. Keyed BLAKE2b (RFC 7693) costs half
of HMAC-SHA256 at the size of an event. The keyring binds each key to the sources that it may speak for.
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from hmac import compare_digest

import msgspec

from contracts.errors import InvalidRecord, UserError
from contracts.identifiers import PATIENT_ID_CHARS, is_below, is_source
from contracts.reasons import Reason

KEY_ID_HEADER = "cs-key-id"
MAC_HEADER = "cs-mac"
MAC_BYTES = 16
SECRET_BYTES = 32
KEYRING_FILE = "keyring.toml"
_MAX_SOURCES_SEEN = 10_000  # a cache, cleared when a flood of invented sources fills it


def compute_mac(secret: bytes, record_key: bytes, value: bytes) -> bytes:
    """Return the MAC (16 bytes) of a record: keyed BLAKE2b over the key's length (4 bytes, big-endian), key, value."""
    frame = _length(len(record_key)) + record_key + value
    return hashlib.blake2b(frame, key=secret, digest_size=MAC_BYTES).digest()


def _length(count: int) -> bytes:
    return count.to_bytes(4, "big")


Headers = Sequence[tuple[str, bytes | None]] | None
"""A record's headers as Kafka has them; None for a record without."""

UNREADABLE: tuple[tuple[str, bytes | None], ...] = (("", b"a name that is not UTF-8"),)
"""Stands for headers that cannot be read; compared by identity."""


class SourceKey(msgspec.Struct, frozen=True):
    """A secret and the sources that it speaks for: `uci` covers `uci` and everything below `uci/`."""

    key_id: str
    secret: bytes
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            raise ValueError(f"key {self.key_id}: expected a secret of {SECRET_BYTES} bytes, got {len(self.secret)}")
        if not self.sources or not all(map(is_source, self.sources)):
            raise ValueError(f"key {self.key_id}: expected at least one source of the form site/ward/device")

    def covers(self, source: str) -> bool:
        return is_below(source, self.sources)

    def __repr__(self) -> str:
        return f"SourceKey({self.key_id!r}, sources={self.sources!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show the secret to rich
        return [("key_id", self.key_id), ("sources", self.sources)]


class _KeyEntry(msgspec.Struct, forbid_unknown_fields=True):
    secret: str
    sources: tuple[str, ...]


class Keyring:
    """The keys that a worker accepts, by key id. Rotation is two entries for a while."""

    def __init__(self, keys: Mapping[str, SourceKey], revoked: frozenset[str] = frozenset()) -> None:
        self._keys = dict(keys)
        self._revoked = {key_id.encode() for key_id in revoked}
        self._verifiers = {key_id.encode(): _Verifier(key) for key_id, key in keys.items()}

    @classmethod
    def from_toml(cls, text: str, *, origin: str) -> "Keyring":
        """Read a keyring: a table a key id with `secret` (64 hex digits) and `sources`; `origin` names it in errors."""
        try:
            entries = msgspec.convert(tomllib.loads(text), dict[str, _KeyEntry])
            return cls(
                {
                    key_id: SourceKey(key_id, bytes.fromhex(entry.secret), entry.sources)
                    for key_id, entry in entries.items()
                }
            )
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"{origin}: expected a TOML keyring, got a syntax error: {error}") from None
        except msgspec.ValidationError as error:
            raise UserError(f"{origin}: expected tables with `secret` and `sources`: {error}") from None
        except ValueError as error:
            raise UserError(f"{origin}: expected secrets of 64 hex digits and valid sources: {error}") from None

    def without(self, revoked: frozenset[str]) -> "Keyring":
        """Return the same without the keys of these ids, of which it says that they are revoked."""
        return Keyring({key_id: key for key_id, key in self._keys.items() if key_id not in revoked}, revoked)

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def covers(self, source: str) -> bool:
        """Whether any key may speak for `source`."""
        return any(key.covers(source) for key in self._keys.values())

    def speaks_of(self, source: str) -> bool:
        """Whether any key may speak for `source` or for something below it."""
        below = f"{source}/"
        return self.covers(source) or any(each.startswith(below) for key in self._keys.values() for each in key.sources)

    def key_for(self, source: str) -> SourceKey:
        """Return the newest (last listed) key that may speak for `source`."""
        for key in reversed(self._keys.values()):
            if key.covers(source):
                return key
        raise UserError(
            f"keyring: expected a key bound to source {source!r}, found none; `cardiosentry keys generate DIR --source "
            f"{source}` makes one"
        )

    def authenticate(
        self,
        headers: Sequence[Headers],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        sources: Sequence[str],
    ) -> tuple[list[bool], dict[int, InvalidRecord]]:
        """Check the records of a batch.

        Return for each whether it has a MAC that holds, and by position what is wrong with those whose MAC does not.
        """
        authenticated: list[bool] = []
        wrong: dict[int, InvalidRecord] = {}
        if headers.count(None) == len(headers):
            return [False] * len(headers), wrong
        check = self._check
        for header, key, value, source in zip(headers, keys, values, sources, strict=True):
            try:
                authenticated.append(header is not None and check(header, key or b"", value or b"", source))
            except InvalidRecord as error:
                wrong[len(authenticated)] = error
                authenticated.append(False)
        return authenticated, wrong

    def _check(self, header: Sequence[tuple[str, bytes | None]], key: bytes, value: bytes, source: str) -> bool:
        """Return whether the record has a MAC; raise `InvalidRecord` if that does not hold."""
        if header is UNREADABLE:
            raise InvalidRecord(Reason.HEADERS, "expected header names in UTF-8")
        fields = dict(header)
        key_id, mac = fields.get(KEY_ID_HEADER), fields.get(MAC_HEADER)
        if key_id is None and mac is None:
            return False
        verifier = self._verifiers.get(key_id or b"")
        if verifier is None:
            if key_id in self._revoked:
                raise InvalidRecord(Reason.BLOCKED, "expected a key that is not revoked")
            raise InvalidRecord(Reason.MAC_KEY_UNKNOWN, "expected a key id of the keyring")
        if not compare_digest(verifier.mac(key, value), mac or b""):
            raise InvalidRecord(Reason.MAC_WRONG, "expected the MAC of this key and value by its key id")
        if source not in verifier.covered and not verifier.covers(source):
            raise InvalidRecord(Reason.SOURCE_NOT_BOUND, "expected a key that is bound to this source")
        return True


class _Verifier:
    """A key made ready: BLAKE2b with all absorbed that comes before the patient id, and the sources seen so far."""

    def __init__(self, key: SourceKey) -> None:
        start = hashlib.blake2b(_length(PATIENT_ID_CHARS), key=key.secret, digest_size=MAC_BYTES)
        self._copy_start = start.copy
        self._key = key
        self.covered: set[str] = set()

    def mac(self, record_key: bytes, value: bytes) -> bytes:
        """Return what `compute_mac` does, for the key of a patient in two thirds of the time."""
        if len(record_key) != PATIENT_ID_CHARS:
            return compute_mac(self._key.secret, record_key, value)
        digest = self._copy_start()
        digest.update(record_key + value)
        return digest.digest()

    def covers(self, source: str) -> bool:
        if not self._key.covers(source):
            return False
        if len(self.covered) >= _MAX_SOURCES_SEEN:
            self.covered.clear()
        self.covered.add(source)
        return True
