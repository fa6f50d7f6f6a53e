"""Where a bundle comes from: a signed statement for each step of the pipeline, each naming the one before it.

The statements are in-toto v1 with an SLSA v1 provenance predicate (https://in-toto.io/Statement/v1,
https://slsa.dev/provenance/v1), in DSSE envelopes, and lie in the bundle as `provenance-STEP.json`, so the bundle's own
signature is over them too. What makes them a chain:

- every statement but the first names the statement file before it by its SHA-256;
- `train` has the bundle's graph as its subject, and every step after it names that graph;
- each was signed by a signer of the trust root, and says that the step passed.

A missing, foreign or exchanged statement is a hole, and `check_chain` says where.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.errors import ModelRejected
from models.bundle import MODEL_FILE, PROVENANCE_PREFIX
from models.dsse import EnvelopeError, KeyProvider, encode_envelope, open_envelope, seal, signers_of
from models.oms import PAYLOAD_TYPE

PROVENANCE = "provenance"
"""The attestation that a role may ask for in the trust root: a whole chain."""

BUILD_TYPE = "urn:cardiosentry:pipeline:v1:"
BUILDER = "urn:cardiosentry:pipeline"

STEPS = ("collect", "gate-1", "train", "evaluate", "attack", "gate-2")
"""In their order; what signs, stores and releases a bundle is in the release log."""

MAX_BYTES = 256 * 1024


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A SHA-256 in hex."""

    sha256: str


class Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that went in or came out."""

    name: str
    digest: Digest


class _BuildDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    build_type: str
    external_parameters: dict[str, Any]
    resolved_dependencies: tuple[Resource, ...]


class _Builder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str


class _Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    invocation_id: str
    started_on: str
    finished_on: str


class _RunDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    builder: _Builder
    metadata: _Metadata


class _Predicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    build_definition: _BuildDefinition
    run_details: _RunDetails


class Statement(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"type_": "_type", "predicate_type": "predicateType"},
    kw_only=True,
):
    """One step's statement."""

    type_: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
    subject: tuple[Resource, ...]
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = "https://slsa.dev/provenance/v1"
    predicate: _Predicate

    @property
    def step(self) -> str:
        return self.predicate.build_definition.build_type.removeprefix(BUILD_TYPE)

    @property
    def parameters(self) -> dict[str, Any]:
        return self.predicate.build_definition.external_parameters

    @property
    def dependencies(self) -> dict[str, str]:
        """What went in, {name: SHA-256}."""
        return {each.name: each.digest.sha256 for each in self.predicate.build_definition.resolved_dependencies}

    @property
    def subjects(self) -> dict[str, str]:
        """What came out, {name: SHA-256}."""
        return {each.name: each.digest.sha256 for each in self.subject}


def file_of(step: str) -> str:
    """Return the name of a step's statement in a bundle."""
    return f"{PROVENANCE_PREFIX}{step}.json"


def state(
    step: str,
    key: KeyProvider,
    *,
    subjects: Mapping[str, str],
    dependencies: Mapping[str, str],
    parameters: Mapping[str, Any],
    run: str,
    started: str,
    finished: str,
) -> bytes:
    """Return the signed statement that a step passed; files are {name: SHA-256}, times RFC 3339."""
    made = Statement(
        subject=_resources(subjects),
        predicate=_Predicate(
            _BuildDefinition(BUILD_TYPE + step, {**parameters, "verdict": "pass"}, _resources(dependencies)),
            _RunDetails(_Builder(BUILDER), _Metadata(run, started, finished)),
        ),
    )
    return encode_envelope(seal(PAYLOAD_TYPE, msgspec.json.encode(made, order="deterministic"), [key]))


@dataclass(frozen=True)
class Link:
    """A step of a bundle's chain: its statement and who signed it, or what is wrong with it."""

    step: str
    statement: Statement | None = None
    signed_by: tuple[str, ...] = ()
    fault: str = ""


def chain(files: Mapping[str, bytes], keys: Mapping[str, ec.EllipticCurvePublicKey]) -> list[Link]:
    """Return the chain of a bundle's `files`, a link for each of `STEPS`; `keys` are the trust root's by id."""
    links: list[Link] = []
    graph = hashlib.sha256(files.get(MODEL_FILE, b"")).hexdigest()
    before: str | None = None
    for step in STEPS:
        name = file_of(step)
        content = files.get(name)
        if content is None:
            links.append(Link(step, fault="expected a statement of this step, found none"))
        else:
            links.append(_link(step, content, keys, graph, files.get(before) if before else None, before))
        before = name
    return links


def check_chain(files: Mapping[str, bytes], keys: Mapping[str, ec.EllipticCurvePublicKey], where: str) -> None:
    """Raise `ModelRejected` at the first hole in the chain; `where` is what errors call the bundle."""
    for link in chain(files, keys):
        if link.fault:
            raise ModelRejected(f"{where}: provenance of {link.step}: {link.fault}")


def _link(
    step: str,
    content: bytes,
    keys: Mapping[str, ec.EllipticCurvePublicKey],
    graph: str,
    previous: bytes | None,
    previous_name: str | None,
) -> Link:
    try:
        envelope = open_envelope(content, max_bytes=MAX_BYTES)
    except EnvelopeError as error:
        return Link(step, fault=str(error))
    signed_by = tuple(sorted(signers_of(envelope, keys)))
    if not signed_by:
        return Link(step, fault="expected a signature by a signer of the trust root, found none")
    try:
        statement = msgspec.json.decode(envelope.payload, type=Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Link(step, signed_by=signed_by, fault="expected an in-toto statement of the form that we know")
    named = statement.subjects | statement.dependencies
    for expected, holds in (
        (f"a statement of {step}, got one of another step", statement.step == step),
        ("a step that passed, got another verdict", statement.parameters.get("verdict") == "pass"),
        (
            f"the SHA-256 of {previous_name}, which stands before it, got another or none",
            previous is None or named.get(previous_name or "") == hashlib.sha256(previous).hexdigest(),
        ),
        (
            f"the SHA-256 of this bundle's {MODEL_FILE}, got another or none",
            STEPS.index(step) < STEPS.index("train") or named.get(MODEL_FILE) == graph,
        ),
    ):
        if not holds:
            return Link(step, statement, signed_by, f"expected {expected}")
    return Link(step, statement, signed_by)


def _resources(files: Mapping[str, str]) -> tuple[Resource, ...]:
    return tuple(Resource(name, Digest(sha256)) for name, sha256 in sorted(files.items()))
