"""The chain of a bundle's provenance: whole it is accepted, and every hole in it is named."""

import hashlib
from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.errors import ModelRejected
from models.bundle import MODEL_FILE
from models.dsse import Envelope, encode_envelope, key_id, open_envelope, seal
from models.keyfile import KeyFile
from models.oms import PAYLOAD_TYPE
from models.provenance import MAX_BYTES, STEPS, Statement, chain, check_chain, file_of, state

PIPELINE, STRANGER = KeyFile(ec.generate_private_key(ec.SECP256R1())), KeyFile(ec.generate_private_key(ec.SECP256R1()))
KEYS = {key_id(PIPELINE.public_key): PIPELINE.public_key}
GRAPH = b"a graph"

Files = dict[str, bytes]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def made(graph: bytes = GRAPH, key: KeyFile = PIPELINE) -> Files:
    """Return a bundle's graph and the statements of every step."""
    files: Files = {MODEL_FILE: graph}
    before = ""
    for at, step in enumerate(STEPS):
        dependencies = {before: sha256(files[before])} if before else {"topic": sha256(b"events")}
        if at > STEPS.index("train"):
            dependencies[MODEL_FILE] = sha256(graph)
        subjects = {MODEL_FILE: sha256(graph)} if step == "train" else {f"{step}.json": sha256(step.encode())}
        before = file_of(step)
        files[before] = state(
            step,
            key,
            subjects=subjects,
            dependencies=dependencies,
            parameters={"trigger": "by hand"},
            run="run-1",
            started="2026-11-23T00:00:00Z",
            finished="2026-11-23T00:00:01Z",
        )
    return files


def test_a_whole_chain_is_accepted_and_says_who_signed() -> None:
    files = made()
    check_chain(files, KEYS, "bundle")
    links = chain(files, KEYS)
    assert [link.step for link in links] == list(STEPS)
    assert {link.signed_by for link in links} == {(key_id(PIPELINE.public_key),)}
    assert all(link.statement and link.statement.parameters["trigger"] == "by hand" for link in links)


def test_a_statement_is_in_toto_and_slsa_as_others_read_them() -> None:
    envelope = open_envelope(made()[file_of("train")], max_bytes=MAX_BYTES)
    read = msgspec.json.decode(envelope.payload)
    assert (envelope.payload_type, read["_type"]) == (PAYLOAD_TYPE, "https://in-toto.io/Statement/v1")
    assert read["predicateType"] == "https://slsa.dev/provenance/v1"
    assert read["subject"] == [{"name": MODEL_FILE, "digest": {"sha256": sha256(GRAPH)}}]
    assert {"buildType", "externalParameters", "resolvedDependencies"} <= read["predicate"]["buildDefinition"].keys()
    assert {"invocationId", "startedOn", "finishedOn"} <= read["predicate"]["runDetails"]["metadata"].keys()


def without(step: str) -> Callable[[Files], None]:
    def drop(files: Files) -> None:
        del files[file_of(step)]

    return drop


def of_another_run(step: str) -> Callable[[Files], None]:
    return lambda files: files.update({file_of(step): made(b"another graph")[file_of(step)]})


def by_a_stranger(step: str) -> Callable[[Files], None]:
    return lambda files: files.update({file_of(step): made(key=STRANGER)[file_of(step)]})


def edited(step: str, old: bytes, new: bytes) -> Callable[[Files], None]:
    """Change the statement and sign it again: the pipeline's key alone must not make a chain."""

    def edit(files: Files) -> None:
        envelope = open_envelope(files[file_of(step)], max_bytes=MAX_BYTES)
        assert old in envelope.payload
        made = seal(PAYLOAD_TYPE, envelope.payload.replace(old, new), [PIPELINE])
        files[file_of(step)] = encode_envelope(made)

    return edit


def unsigned(files: Files) -> None:
    envelope = open_envelope(files[file_of("evaluate")], max_bytes=MAX_BYTES)
    files[file_of("evaluate")] = encode_envelope(Envelope(envelope.payload, envelope.payload_type, ()))


HOLES: dict[str, tuple[Callable[[Files], None], str]] = {
    **{f"no {step}": (without(step), f"{step}: expected a statement of this step") for step in STEPS},
    "another graph": (
        lambda files: files.update({MODEL_FILE: b"another"}),
        "train: expected the SHA-256 of this bundle",
    ),
    "an evaluation of another graph": (of_another_run("evaluate"), "evaluate: expected the SHA-256"),
    "a gate by a stranger": (by_a_stranger("gate-2"), "gate-2: expected a signature by a signer of the trust root"),
    "no signature": (unsigned, "evaluate: expected a signature"),
    "garbage": (lambda files: files.update({file_of("attack"): b"{}"}), "attack: expected a signed envelope"),
    "a step that failed": (edited("gate-1", b'"pass"', b'"fail"'), "gate-1: expected a step that passed"),
    "one step as another": (
        lambda files: files.update({file_of("attack"): files[file_of("evaluate")]}),
        "attack: expected a statement of attack",
    ),
    "a later collection under an old gate": (
        edited("collect", sha256(b"events").encode(), sha256(b"others").encode()),
        "gate-1: expected the SHA-256 of provenance-collect.json",
    ),
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_chain_with_a_hole_is_refused_where_it_is(hole: str) -> None:
    make, expected = HOLES[hole]
    files = made()
    make(files)
    with pytest.raises(ModelRejected) as error:
        check_chain(files, KEYS, "bundle")
    assert expected in str(error.value)


def test_a_statement_reads_back_as_it_was_written() -> None:
    envelope = open_envelope(made()[file_of("collect")], max_bytes=MAX_BYTES)
    statement = msgspec.json.decode(envelope.payload, type=Statement)
    assert (statement.step, statement.subjects) == ("collect", {"collect.json": sha256(b"collect")})
