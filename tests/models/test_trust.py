"""Trust: every attack on a statement or a trust root is refused, by the check that is meant for it."""

import contextlib
import hashlib
import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ModelRejected
from contracts.releases import BASELINE_TYPE, DAY_MS, RELEASE_TYPE, ROOT_TYPE, ReleasedFile, RolePolicy
from models.bundle import MAX_OTHER_BYTES
from models.dsse import Envelope, Signature, add_signature, encode_envelope, open_envelope
from models.trust import (
    MAX_BASELINE_BYTES,
    MAX_STATEMENT_BYTES,
    TooFewSigners,
    check_files,
    first_root,
    has_ended,
    next_root,
    verify_baseline,
    verify_release,
    verify_revocation,
)
from tests.models.signers import (
    ADA,
    BOB,
    DIGEST,
    FILES,
    MALLORY,
    NOW_MS,
    ROBOT,
    baseline,
    release,
    revocation,
    root,
    signed,
    someone,
)
from tests.support.reference import made_up_reference

TRUST = first_root(root())
CAROL = someone("Carol", "shadow", "challenger", may_revoke=True)
WITH_CAROL = first_root(root(ADA, ROBOT, CAROL))
EXTRA = ReleasedFile(name="vocabulary.txt", sha256="e" * 64, size=5)

Attacks = dict[str, tuple[Callable[[], bytes], str]]


def opened(content: bytes) -> Envelope:
    return open_envelope(content, max_bytes=10**6)


def with_payload(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change what was signed and keep the signatures."""
    envelope = opened(content)
    return encode_envelope(msgspec.structs.replace(envelope, payload=change(envelope.payload)))


def test_a_release_that_passes_every_check_is_returned_with_its_signers() -> None:
    found, by = verify_release(TRUST, release(ADA, BOB, MALLORY), {})
    assert (found.role, found.version, found.digest) == ("champion", 1, DIGEST)
    assert by == {ADA.id, BOB.id}


REFUSED: Attacks = {
    "not an envelope": (lambda: b"{}", "signed envelope"),
    "not JSON": (lambda: b"\xff\x00", "signed envelope"),
    "more than the limit": (lambda: release(reason="x") + b" " * MAX_STATEMENT_BYTES, "at most 65536 bytes"),
    "unsigned": (lambda: signed(RELEASE_TYPE, opened_release()), "signature by a signer"),
    "signed by somebody unknown": (lambda: release(MALLORY), "signature by a signer"),
    "an unknown key under a known id": (lambda: renamed(release(MALLORY), ADA.id), "signature by a signer"),
    "one flipped bit": (
        lambda: with_payload(release(), lambda p: p.replace(b'"version":1', b'"version":9')),
        "signature",
    ),
    "a revocation's signature over the same bytes": (
        lambda: encode_envelope(msgspec.structs.replace(opened(revocation()), payload_type=RELEASE_TYPE)),
        "signature by a signer",
    ),
    "a revocation": (revocation, "payload type"),
    "an unknown field": (lambda: signed(RELEASE_TYPE, Raw({"role": "champion", "x": 1}), ADA), "form that we know"),
    "an unknown role": (lambda: signed_release(role="emperor"), "form that we know"),
    "a file outside the bundle": (lambda: signed_release(files=listing("../../etc/passwd")), "form that we know"),
    "a file by an absolute path": (lambda: signed_release(files=listing("/etc/passwd")), "form that we know"),
    "a champion by an unattended key": (lambda: release(ROBOT), "expected 1 signers who may release a champion, got 0"),
    "an older version": (lambda: release(version=3), "expected a version above 3"),
    "without the manifest": (lambda: release(version=4, files=(*FILES[1:], EXTRA)), "expected the file manifest.json"),
    "a file named twice": (lambda: release(version=4, files=(*FILES, FILES[0])), "each file once"),
    "a model of 10 GB": (
        lambda: release(version=4, files=(FILES[0], large("model.onnx"), FILES[2])),
        "at most 67108864",
    ),
    "another file of 10 GB": (
        lambda: release(version=4, files=(*FILES, large("tokenizer.json"))),
        f"{MAX_OTHER_BYTES}",
    ),
}


class Raw(msgspec.Struct):
    """Encodes as the dict that it holds."""

    content: dict[str, object]


def signed_release(**changes: object) -> bytes:
    """Return a signed release that our own types would not let us make."""
    content = json.loads(opened(release()).payload) | changes
    return resigned(json.dumps(content).encode())


def resigned(payload: bytes) -> bytes:
    return encode_envelope(add_signature(Envelope(payload, RELEASE_TYPE, ()), ADA.key))


def listing(name: str) -> list[dict[str, object]]:
    return [{"name": name, "sha256": "a" * 64, "size": 1}] * 3


def large(name: str) -> ReleasedFile:
    return ReleasedFile(name=name, sha256="a" * 64, size=10 * 1024**3)


def opened_release() -> msgspec.Struct:
    return msgspec.json.decode(opened(release()).payload, type=type(verify()[0]))


def verify() -> tuple[msgspec.Struct, frozenset[str]]:
    return verify_release(TRUST, release(), {})


def renamed(content: bytes, keyid: str) -> bytes:
    envelope = opened(content)
    signatures = tuple(Signature(each.sig, keyid) for each in envelope.signatures)
    return encode_envelope(msgspec.structs.replace(envelope, signatures=signatures))


@pytest.mark.parametrize("attack", REFUSED)
def test_an_attack_is_refused_by_its_check(attack: str) -> None:
    make, said = REFUSED[attack]
    with pytest.raises(ModelRejected, match=said.replace("(", r"\(")):
        verify_release(TRUST, make(), {"champion": 3})


def test_versions_count_within_their_role() -> None:
    verify_release(TRUST, release(ROBOT, role="shadow"), {"champion": 3})


def test_one_signer_twice_is_one_signer() -> None:
    trust = first_root(root(thresholds={"champion": 2}))
    twice = opened(release(ADA))
    twice = msgspec.structs.replace(twice, signatures=twice.signatures * 2)
    with pytest.raises(ModelRejected, match="expected 2 signers who may release a champion, got 1"):
        verify_release(trust, encode_envelope(twice), {})
    verify_release(trust, release(ADA, BOB), {})


def test_a_champion_takes_a_person_whatever_the_number_of_signers() -> None:
    trust = first_root(root(thresholds={"champion": 2}))
    with pytest.raises(ModelRejected, match="got 1"):
        verify_release(trust, release(ADA, ROBOT), {})


def test_attestations_that_the_role_needs_are_a_must() -> None:
    trust = first_root(root(roles={"champion": RolePolicy(attestations=("gate-1",))}))
    with pytest.raises(ModelRejected, match="expected the attestations gate-1"):
        verify_release(trust, release(), {})
    verify_release(trust, release(attestations=("gate-1", "more")), {})
    with pytest.raises(ModelRejected, match="role of the trust root"):
        verify_release(trust, release(role="shadow"), {})


def test_a_release_ends_with_itself_or_with_the_trust_root() -> None:
    found, _ = verify_release(TRUST, release(expires_at=NOW_MS), {})
    assert [has_ended(TRUST, found, at) for at in (NOW_MS - 1, NOW_MS)] == [False, True]
    ending = first_root(root(expires_at=NOW_MS))
    found, _ = verify_release(ending, release(), {})
    assert [has_ended(ending, found, at) for at in (NOW_MS - 1, NOW_MS)] == [False, True]


def test_a_model_is_taken_back_by_who_may_revoke() -> None:
    found, by = verify_revocation(TRUST, revocation(ADA, BOB))
    assert (found.digest, by) == (DIGEST, frozenset({ADA.id, BOB.id}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (revocation(BOB), "a signer who may revoke, got none"),
        (revocation(MALLORY), "signature by a signer"),
        (release(), "payload type"),
    ],
    ids=["may not revoke", "unknown", "a release"],
)
def test_a_revocation_that_does_not_count_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ModelRejected, match=said):
        verify_revocation(TRUST, content)


# Baselines


def test_a_baseline_by_whoever_may_release_a_champion_is_returned() -> None:
    found, by = verify_baseline(TRUST, baseline(BOB, MALLORY, version=4), {DIGEST: 3, "sha256:other": 9})
    assert (found.digest, found.version, by) == (DIGEST, 4, frozenset({BOB.id}))
    assert found.statistics == made_up_reference()


def unsigned(content: bytes) -> bytes:
    return encode_envelope(msgspec.structs.replace(opened(content), signatures=()))


def newer(payload: bytes) -> bytes:
    return payload.replace(b'"version":1', b'"version":9')


def contradictory() -> bytes:
    """Return a signed baseline of one product too few."""
    content = json.loads(opened(baseline(version=4)).payload)
    content["statistics"]["products"].pop()
    return encode_envelope(add_signature(Envelope(json.dumps(content).encode(), BASELINE_TYPE, ()), ADA.key))


BASELINES_REFUSED: Attacks = {
    "unsigned": (lambda: unsigned(baseline()), "signature by a signer"),
    "by somebody unknown": (lambda: baseline(MALLORY), "signature by a signer"),
    "by an unattended key": (lambda: baseline(ROBOT), "expected 1 signers who may release a champion, got 0"),
    "by a person who may release no champion": (lambda: baseline(CAROL), "who may release a champion, got 0"),
    "a flipped digit": (lambda: with_payload(baseline(), newer), "signature by a signer"),
    "a release": (release, "payload type"),
    "the version in force again": (lambda: baseline(version=3), "expected a version above 3"),
    "an older version": (lambda: baseline(version=2), "expected a version above 3"),
    "a withdrawal of an older version": (lambda: baseline(version=3, statistics=None), "expected a version above 3"),
    "too large": (lambda: baseline(version=4) + b" " * MAX_BASELINE_BYTES, "at most 262144 bytes"),
    "statistics that contradict themselves": (contradictory, "form that we know"),
}


@pytest.mark.parametrize("attack", BASELINES_REFUSED)
def test_a_baseline_that_does_not_count_is_refused(attack: str) -> None:
    make, said = BASELINES_REFUSED[attack]
    with pytest.raises(ModelRejected, match=said):
        verify_baseline(WITH_CAROL, make(), {DIGEST: 3})


def test_a_baseline_takes_as_many_signers_as_a_champion() -> None:
    trust = first_root(root(thresholds={"champion": 2}))
    for by in ([ADA], [ADA, ROBOT]):
        with pytest.raises(TooFewSigners, match="expected 2 signers who may release a champion, got 1"):
            verify_baseline(trust, baseline(*by), {})
    verify_baseline(trust, baseline(ADA, BOB, statistics=None), {})


# Trust roots


def test_a_trust_root_follows_the_one_before_it() -> None:
    carol = someone("Carol", "champion")
    second, _ = next_root(TRUST, root(ADA, carol, version=2))
    verify_release(second, release(carol), {})
    for gone in (BOB, ROBOT):
        with pytest.raises(ModelRejected):
            verify_release(second, release(gone, role="shadow"), {})


def test_a_root_key_is_rotated_by_a_root_that_both_the_old_and_the_new_key_sign() -> None:
    carol = someone("Carol", "champion", "challenger", "shadow")
    for by in ([ADA], [carol]):
        with pytest.raises(
            ModelRejected, match=r"signatures of 1 root signers of version \d, got 0|signer of the current"
        ):
            next_root(TRUST, root(carol, by=by, version=2, root_signers=(carol.id,)))
    second, _ = next_root(TRUST, root(carol, by=[ADA, carol], version=2, root_signers=(carol.id,)))
    with pytest.raises(ModelRejected, match="signer of the current one"):
        next_root(second, root(version=3))


ROOTS_REFUSED: Attacks = {
    "an older one": (lambda: root(version=1), "expected version 2, got 1"),
    "one that skips a version": (lambda: root(version=3), "expected version 2, got 3"),
    "by a signer who signs no roots": (lambda: root(version=2, by=[BOB]), "got 0"),
    "by somebody unknown": (lambda: root(version=2, by=[MALLORY]), "signer of the current one"),
    "a release": (release, "signature by a signer of the current one"),
    "too large": (lambda: root(version=2) + b" " * 10**6, "at most"),
}


@pytest.mark.parametrize("attack", ROOTS_REFUSED)
def test_a_trust_root_that_may_not_follow_is_refused(attack: str) -> None:
    make, said = ROOTS_REFUSED[attack]
    with pytest.raises(ModelRejected, match=said):
        next_root(TRUST, make())


ROOTS_WRONG: Attacks = {
    "unsigned": (lambda: root(by=[]), "got 0"),
    "a key under another's id": (lambda: root(signers={ADA.id: BOB.entry}), "id of its key"),
    "a root signer who is none": (lambda: root(BOB), "root signers who are signers"),
    "fewer root signers than must sign": (lambda: root(root_threshold=2), "at least 2 root signers"),
    "a root signer twice": (lambda: root(root_signers=(ADA.id, ADA.id), root_threshold=2), "each root signer once"),
    "an unattended key for champions": (
        lambda: root(ADA, someone("cron", "champion", kind="unattended")),
        "no unattended key",
    ),
    "too few signers for a role": (
        lambda: root(thresholds={"champion": 3}),
        "at least 3 signers who may",
    ),
    "two signers of one name": (lambda: root(ADA, someone("Ada", "shadow")), "each signer's name once"),
    "an end before its making": (lambda: root(expires_at=NOW_MS - 2 * DAY_MS), "an end after its making"),
    "no key": (lambda: root(signers={ADA.id: msgspec.structs.replace(ADA.entry, public_key="x")}), "public key in PEM"),
    "an unknown field": (lambda: signed(ROOT_TYPE, Raw({"version": 1}), ADA), "form that we know"),
    "a release": (release, "payload type"),
}


@pytest.mark.parametrize("fault", ROOTS_WRONG)
def test_a_trust_root_that_is_wrong_in_itself_is_refused(fault: str) -> None:
    make, said = ROOTS_WRONG[fault]
    with pytest.raises(ModelRejected, match=said):
        first_root(make())


# Files


def test_the_bytes_must_be_those_released_all_and_no_others() -> None:
    content = {"manifest.json": b"{}", "model.onnx": b"\x08", "model.sig": b"s", "tokenizer.json": b"t"}
    files = tuple(
        ReleasedFile(name=name, sha256=hashlib.sha256(bytes_).hexdigest(), size=len(bytes_))
        for name, bytes_ in content.items()
    )
    found, _ = verify_release(TRUST, release(files=files), {})
    check_files(found, content)
    for name, good in content.items():
        with pytest.raises(ModelRejected, match=f"{name}: expected the"):
            check_files(found, {**content, name: good + b"x"})
        with pytest.raises(ModelRejected, match=f"{name}: expected this file"):
            check_files(found, {other: bytes_ for other, bytes_ in content.items() if other != name})
    with pytest.raises(ModelRejected, match="got 1 more"):
        check_files(found, {**content, "evil.pkl": b""})


# Anything at all


@given(
    st.binary(max_size=300)
    | st.builds(lambda at, put: spliced(release(), at, put), st.integers(0, 900), st.binary(max_size=5))
)
def test_any_bytes_are_verified_or_refused(content: bytes) -> None:
    for check in (
        lambda: verify_release(TRUST, content, {}),
        lambda: verify_revocation(TRUST, content),
        lambda: first_root(content),
        lambda: next_root(TRUST, content),
    ):
        with contextlib.suppress(ModelRejected):
            check()


def spliced(content: bytes, at: int, put: bytes) -> bytes:
    at %= len(content)
    return content[:at] + put + content[at + len(put) :]
