"""Acts on incidents: made and checked. No I/O.

Whoever was a person of the trust root when the record was written is believed, so that what somebody did stays done
after he left, and nobody does anything with his key afterwards. When that was is the broker's word, not the signer's.
"""

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.errors import ModelRejected
from contracts.incidents import ACT_TYPE, IncidentAct
from contracts.releases import TrustRoot
from models.dsse import EnvelopeError, KeyProvider, encode_envelope, open_envelope, read_public_key, seal, signers_of
from models.release_log import ReleaseLog
from models.trust import Trust

_MAX_ACT_BYTES = 16 * 1024
GONE = " (no longer trusted)"


class Witnesses:
    """The persons whose acts count: those of the trust root that a log began with and of every one after it."""

    def __init__(self, first: Trust) -> None:
        self._persons: dict[str, tuple[str, ec.EllipticCurvePublicKey]] = {}
        self._left: dict[str, int] = {}
        self._seen: set[IncidentAct] = set()
        self._add(first.root)

    def follow(self, log: ReleaseLog) -> None:
        """Take the trust roots of a log, which began with the same one; one that is behind changes nothing."""
        for entry in log.entries:
            if isinstance(entry.statement, TrustRoot) and entry.statement.version > self._version:
                self._add(entry.statement)

    def verify(self, content: bytes, written_ms: int) -> tuple[IncidentAct, str]:
        """Return an act and who signed it; raises `ModelRejected` for one that does not count.

        `written_ms` is when the broker took the record, epoch milliseconds. The same act counts once.
        """
        act, by = self.check(content, written_ms)
        if act in self._seen:
            raise ModelRejected("act: expected it once, it came before")
        self._seen.add(act)
        return act, by

    def check(self, content: bytes, written_ms: int) -> tuple[IncidentAct, str]:
        """Do as `verify` does, and remember nothing: it may have come before, and may come again."""
        try:
            envelope = open_envelope(content, max_bytes=_MAX_ACT_BYTES)
        except EnvelopeError as error:
            raise ModelRejected(f"act: {error}") from None
        if envelope.payload_type != ACT_TYPE:
            raise ModelRejected(f"act: expected the payload type {ACT_TYPE}, got another")
        persons = self._persons.items()
        keys = {key: public for key, (_, public) in persons if written_ms < self._left.get(key, written_ms + 1)}
        signed_by = signers_of(envelope, keys)
        if not signed_by:
            raise ModelRejected("act: expected the signature of a person of the trust root, found none")
        try:
            act = msgspec.json.decode(envelope.payload, type=IncidentAct)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ModelRejected("act: expected one of the form that we know, got another") from None
        return act, ", ".join(sorted(self._persons[key][0] + GONE * (key in self._left) for key in signed_by))

    def _add(self, root: TrustRoot) -> None:
        self._version = root.version
        persons = {key: signer for key, signer in root.signers.items() if signer.kind == "person"}
        for key in self._persons.keys() - persons.keys():
            self._left.setdefault(key, root.created_at)
        for key, signer in persons.items():
            self._left.pop(key, None)
            self._persons[key] = signer.name, read_public_key(signer.public_key.encode())


def sign_act(act: IncidentAct, key: KeyProvider) -> bytes:
    """Return an act, signed by `key`."""
    return encode_envelope(seal(ACT_TYPE, msgspec.json.encode(act), [key]))
