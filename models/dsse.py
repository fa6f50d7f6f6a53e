"""Signed envelopes: DSSE v1 (https://github.com/secure-systems-lab/dsse) with ECDSA over P-256 and SHA-256.

A signature covers the payload's type and its bytes as they are: nothing is parsed before it is verified.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MAX_SIGNATURES = 32


class EnvelopeError(ValueError):
    """Bytes that are not an envelope of the form that we accept, or a key that we do not take."""


class Signature(msgspec.Struct, frozen=True):
    """A signature, base64 decoded; `keyid` is a hint and proves nothing."""

    sig: bytes
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """An envelope as parsed; base64 is decoded."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]


def open_envelope(content: bytes, *, max_bytes: int) -> Envelope:
    """Parse an envelope; raises `EnvelopeError` for anything else or more than `max_bytes`."""
    if len(content) > max_bytes:
        raise EnvelopeError(f"expected a signed envelope of at most {max_bytes} bytes, got {len(content)}")
    try:
        envelope = msgspec.json.decode(content, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise EnvelopeError("expected a signed envelope (DSSE)") from None
    if len(envelope.signatures) > MAX_SIGNATURES:
        raise EnvelopeError(f"expected at most {MAX_SIGNATURES} signatures, got {len(envelope.signatures)}")
    return envelope


class KeyProvider(Protocol):
    """Something that signs with a P-256 key: a file, a key service, a hardware token."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey: ...

    def sign(self, message: bytes) -> bytes:
        """Return the ECDSA signature over the SHA-256 of `message`, in DER."""


def seal(payload_type: str, payload: bytes, keys: Iterable[KeyProvider]) -> Envelope:
    """Return the payload in an envelope that each key signed."""
    envelope = Envelope(payload, payload_type, ())
    for key in keys:
        envelope = add_signature(envelope, key)
    return envelope


def add_signature(envelope: Envelope, key: KeyProvider) -> Envelope:
    """Return the envelope with one more signature, in place of one by the same key."""
    made = Signature(key.sign(_message(envelope.payload_type, envelope.payload)), key_id(key.public_key))
    others = tuple(signature for signature in envelope.signatures if signature.keyid != made.keyid)
    return msgspec.structs.replace(envelope, signatures=(*others, made))


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the envelope as it is announced and kept: JSON, base64 inside."""
    return msgspec.json.encode(envelope)


def signers_of(envelope: Envelope, keys: Mapping[str, ec.EllipticCurvePublicKey]) -> frozenset[str]:
    """Return the ids of those of `keys` whose signature holds, each once however often it signed."""
    message = _message(envelope.payload_type, envelope.payload)
    return frozenset(
        signature.keyid
        for signature in envelope.signatures
        if signature.keyid in keys and _holds(keys[signature.keyid], signature.sig, message)
    )


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return a key's id: the SHA-256, in hex, of its DER form."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Return a P-256 public key from its PEM; raises `EnvelopeError` for anything else."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise EnvelopeError("expected an elliptic-curve public key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise EnvelopeError("expected an elliptic-curve public key on P-256")
    return key


def _holds(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _message(payload_type: str, payload: bytes) -> bytes:
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
