"""Acts on incidents: made and checked. No I/O.

Whoever was ever a person of the trust root is believed, so that what somebody did stays done after he left; who is no
longer one is told apart by name.
"""

from collections.abc import Mapping

import msgspec

from contracts.errors import ModelRejected
from contracts.incidents import ACT_TYPE, IncidentAct
from contracts.releases import Signer, TrustRoot
from models.dsse import EnvelopeError, KeyProvider, encode_envelope, open_envelope, read_public_key, seal, signers_of
from models.release_log import ReleaseLog
from models.trust import Trust

_MAX_ACT_BYTES = 16 * 1024
GONE = " (no longer trusted)"


class Witnesses:
    """The persons whose acts count: those of the trust root that a log began with and of every one after it."""

    def __init__(self, first: Trust, log: ReleaseLog) -> None:
        roots = [first.root, *(e.statement for e in log.entries if isinstance(e.statement, TrustRoot))]
        signers: Mapping[str, Signer] = {key: signer for root in roots for key, signer in root.signers.items()}
        persons = {key: signer for key, signer in signers.items() if signer.kind == "person"}
        now = log.trust.root.signers
        self._names = {key: signer.name + GONE * (key not in now) for key, signer in persons.items()}
        self._keys = {key: read_public_key(signer.public_key.encode()) for key, signer in persons.items()}

    def verify(self, content: bytes) -> tuple[IncidentAct, str]:
        """Return an act and who signed it; raises `ModelRejected` for one that does not count."""
        try:
            envelope = open_envelope(content, max_bytes=_MAX_ACT_BYTES)
        except EnvelopeError as error:
            raise ModelRejected(f"act: {error}") from None
        if envelope.payload_type != ACT_TYPE:
            raise ModelRejected(f"act: expected the payload type {ACT_TYPE}, got another")
        signed_by = signers_of(envelope, self._keys)
        if not signed_by:
            raise ModelRejected("act: expected the signature of a person of the trust root, found none")
        try:
            act = msgspec.json.decode(envelope.payload, type=IncidentAct)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ModelRejected("act: expected one of the form that we know, got another") from None
        return act, ", ".join(sorted(self._names[key] for key in signed_by))


def sign_act(act: IncidentAct, key: KeyProvider) -> bytes:
    """Return an act, signed by `key`."""
    return encode_envelope(seal(ACT_TYPE, msgspec.json.encode(act), [key]))
