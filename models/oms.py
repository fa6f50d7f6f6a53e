"""The OpenSSF Model Signing file: a Sigstore bundle around a DSSE envelope around an in-toto statement.

Formats: https://github.com/ossf/model-signing-spec, https://github.com/secure-systems-lab/dsse. Parsing proves
nothing; the signature over the statement is for the model_signing library to check.
"""

import msgspec

from models.dsse import Envelope

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"


class OmsError(ValueError):
    """A signature file that is not of the form that we accept; the text says what was expected."""


# Unknown fields are dropped, not refused: other signers of the format write more. What is dropped is not verified
# either, because the library gets `encode_signature` of what was parsed.
class _PublicKey(msgspec.Struct, frozen=True):
    hint: str  # without it the library prints to stdout and checks less


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    public_key: _PublicKey
    tlog_entries: tuple[msgspec.Raw, ...] = ()


class SignatureFile(msgspec.Struct, frozen=True, rename="camel"):
    """A signature file as parsed; base64 is decoded."""

    media_type: str
    verification_material: _Material
    dsse_envelope: Envelope


class _Resource(msgspec.Struct, frozen=True):
    name: str
    algorithm: str
    digest: str


class _Serialization(msgspec.Struct, frozen=True):
    method: str
    hash_type: str
    allow_symlinks: bool
    ignore_paths: tuple[str, ...] = ()


class _Predicate(msgspec.Struct, frozen=True, rename={"how": "serialization"}):
    how: _Serialization
    resources: tuple[_Resource, ...]


class _Digest(msgspec.Struct, frozen=True):
    sha256: str


class _Subject(msgspec.Struct, frozen=True):
    digest: _Digest
    name: str = ""


class _Statement(msgspec.Struct, frozen=True, rename={"type_": "_type", "predicate_type": "predicateType"}):
    type_: str
    predicate_type: str
    predicate: _Predicate
    subject: tuple[_Subject, ...]


def read_signature(content: bytes) -> tuple[SignatureFile, dict[str, str]]:
    """Return the parsed file and its statement's {file name: SHA-256 in hex}.

    Raises `OmsError` for anything that is not one signature in the format over whole files under SHA-256. One,
    because the library looks at the first alone and would let any others pass for checked.
    """
    try:
        signature = msgspec.json.decode(content, type=SignatureFile)
        statement = msgspec.json.decode(signature.dsse_envelope.payload, type=_Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise OmsError("expected an OpenSSF Model Signing file made with a key") from None
    envelope, predicate = signature.dsse_envelope, statement.predicate
    for what, found, expected in (
        ("media type", signature.media_type, MEDIA_TYPE),
        ("payload type", envelope.payload_type, PAYLOAD_TYPE),
        ("predicate", statement.predicate_type, PREDICATE_TYPE),
        ("serialization", predicate.how.method, "files"),
        ("hash", predicate.how.hash_type, "sha256"),
        ("number of signatures", str(len(envelope.signatures)), "1"),
        ("number of subjects", str(len(statement.subject)), "1"),
    ):
        if found != expected:
            raise OmsError(f"expected the {what} {expected}, got {found[:100]!r}")
    digests = {resource.name: resource.digest for resource in predicate.resources}
    if len(digests) != len(predicate.resources):
        raise OmsError("expected each signed file once, got one twice")
    return signature, digests


def encode_signature(signature: SignatureFile) -> bytes:
    """Return the file again, with what was parsed and nothing else."""
    return msgspec.json.encode(signature)
