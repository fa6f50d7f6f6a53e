"""Whether a statement may be believed. No I/O: bytes in, a checked statement or `ModelRejected` out.

The checks of a release, in this order; nothing of the payload is parsed before its signatures hold:

1. The envelope is one, of at most 64 KiB.
2. At least one signer of the trust root signed exactly these bytes.
3. The payload is a statement, strictly: no unknown field, no value outside its range.
4. Enough signers that may release this role signed, a person among them for a champion.
5. Its version is above every version of the role that was ever accepted.
6. It carries every attestation that the role needs.
7. It names the files of a bundle, none twice, none beyond its size limit.

Before loading, at whatever time that is:

8. Now is before its end and the trust root's (`has_ended`).
9. What the store handed out is every file that it names, byte for byte, and no other (`check_files`).

None of 1 to 7 looks at a clock: every worker that reads the same records accepts the same ones, whenever it reads them.
A baseline passes 1 to 5 as a champion does, in at most 256 KiB, its versions counted within its bundle: what drift is
measured against decides what is told, so it takes whoever decides what is scored. Whether it fits the bundle shows when
the bundle is loaded.

A trust root follows another only if its version is the next one and both the old root's signers and its own signed it
(The Update Framework, section 5.3).
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.errors import ModelRejected
from contracts.releases import (
    BASELINE_TYPE,
    CONTAINMENT_TYPE,
    RELEASE_TYPE,
    REVOCATION_TYPE,
    ROOT_TYPE,
    STEP_TYPE,
    Baseline,
    Containment,
    Measure,
    Release,
    ReleasedFile,
    Revocation,
    Role,
    Signer,
    Step,
    TrustRoot,
)
from models.bundle import BUNDLE_FILES, max_bytes
from models.dsse import Envelope, EnvelopeError, key_id, open_envelope, read_public_key, signers_of

MAX_STATEMENT_BYTES = 64 * 1024
MAX_ROOT_BYTES = 256 * 1024
MAX_BASELINE_BYTES = 256 * 1024  # of 13 features it has 10 KB

T = TypeVar("T")


class TooFewSigners(ModelRejected):
    """A statement that is in order but for signatures that are missing; `signed` of those that count are there."""

    def __init__(self, message: str, signed: int) -> None:
        super().__init__(message)
        self.signed = signed


class Trust:
    """A trust root that was checked, with its keys made ready. Made by `first_root` and `next_root` alone."""

    def __init__(self, root: TrustRoot) -> None:
        self.root = root

    @cached_property
    def keys(self) -> dict[str, ec.EllipticCurvePublicKey]:
        """The signers' public keys by key id."""
        return {name: read_public_key(signer.public_key.encode()) for name, signer in self.root.signers.items()}

    @property
    def pems(self) -> dict[str, bytes]:
        """The signers' public keys in PEM, by name: what a bundle's own signature is checked with."""
        return {signer.name: signer.public_key.encode() for signer in self.root.signers.values()}


def first_root(content: bytes) -> Trust:
    """Return the trust root that a worker is given to start from; it vouches for itself.

    One that has ended is no fault here: a newer one may follow it.
    """
    envelope = _open(content, MAX_ROOT_BYTES, "trust root")
    trust = _read_root(envelope)
    _check_root_signatures(envelope, trust)
    return trust


def next_root(current: Trust, content: bytes) -> tuple[Trust, frozenset[str]]:
    """Return the trust root that follows `current`, and the ids of the root signers of either who signed it."""
    envelope = _open(content, MAX_ROOT_BYTES, "trust root")
    if envelope.payload_type != ROOT_TYPE or not signers_of(envelope, current.keys):
        raise ModelRejected("trust root: expected a signature by a signer of the current one, found none")
    following = _read_root(envelope)
    expected = current.root.version + 1
    if following.root.version != expected:
        raise ModelRejected(f"trust root: expected version {expected}, got {following.root.version}")
    return following, _check_root_signatures(envelope, current, following)


def verify_release(trust: Trust, content: bytes, highest: Mapping[Role, int]) -> tuple[Release, frozenset[str]]:
    """Return a release that passed every check, and the ids of the keys that signed it.

    `highest` is the highest version ever accepted of each role. Raises `ModelRejected`, which names the check.
    """
    envelope, signed_by = _signed(trust, content, RELEASE_TYPE)  # 1, 2
    release = _parse(envelope.payload, Release, "release")  # 3
    name = f"release {release.role} {release.version}"
    _check_signers(trust, release.role, signed_by, name)  # 4
    last = highest.get(release.role, 0)  # 5
    if release.version <= last:
        raise ModelRejected(f"{name}: expected a version above {last}, the highest there was of this role")
    missing = set(trust.root.roles[release.role].attestations) - set(release.attestations)  # 6
    if missing:
        raise ModelRejected(
            f"{name}: expected the attestations {', '.join(sorted(missing))}, found none; `cardiosentry retrain` makes "
            f"bundles that have them, `cardiosentry trust provenance {release.role} --not-wanted` lets others in"
        )
    _check_listing(release.files, name)  # 7
    return release, signed_by


def verify_revocation(trust: Trust, content: bytes) -> tuple[Revocation, frozenset[str]]:
    """Return a revocation that a signer who may revoke signed, and the ids of the keys that signed it.

    The trust root's end does not stop it: taking a model back must always be possible.
    """
    envelope, signed_by = _signed(trust, content, REVOCATION_TYPE)
    revocation = _parse(envelope.payload, Revocation, "revocation")
    if not any(trust.root.signers[key].may_revoke for key in signed_by):
        raise ModelRejected(f"revocation of {revocation.digest}: expected a signer who may revoke, got none")
    return revocation, signed_by


def verify_baseline(trust: Trust, content: bytes, highest: Mapping[str, int]) -> tuple[Baseline, frozenset[str]]:
    """Return a baseline that the signers of a champion signed, and the ids of the keys that signed it.

    `highest` is the highest version ever accepted of each bundle, by its digest. Raises `ModelRejected`.
    """
    envelope, signed_by = _signed(trust, content, BASELINE_TYPE, MAX_BASELINE_BYTES)
    baseline = _parse(envelope.payload, Baseline, "baseline")
    name = f"baseline {baseline.version} of {baseline.digest}"
    _check_signers(trust, "champion", signed_by, name)
    last = highest.get(baseline.digest, 0)
    if baseline.version <= last:
        raise ModelRejected(f"{name}: expected a version above {last}, the highest there was of this bundle")
    return baseline, signed_by


def verify_containment(
    trust: Trust, content: bytes, highest: Mapping[tuple[Measure, str], int]
) -> tuple[Containment, frozenset[str]]:
    """Return a measure that a signer who may revoke signed, and the ids of the keys that signed it.

    Lifting one takes a person among those. `highest` is the highest version ever accepted of each measure and subject.
    As with a revocation, the trust root's end does not stop it. Raises `ModelRejected`.
    """
    envelope, signed_by = _signed(trust, content, CONTAINMENT_TYPE)
    act = _parse(envelope.payload, Containment, "containment")
    name = f"containment {act.measure} {act.subject} {act.version}"
    entitled = [trust.root.signers[key] for key in signed_by if trust.root.signers[key].may_revoke]
    if not entitled:
        raise ModelRejected(f"{name}: expected a signer who may revoke, got none")
    if act.lifted and not any(signer.kind == "person" for signer in entitled):
        raise ModelRejected(f"{name}: expected a person to lift it, got none")
    following = highest.get((act.measure, act.subject), 0) + 1
    if act.version != following:  # a jump to the highest there is would leave none to lift it by
        raise ModelRejected(f"{name}: expected version {following} of this measure, got another")
    return act, signed_by


def verify_step(trust: Trust, content: bytes) -> tuple[Step, frozenset[str]]:
    """Return a step that any signer of the trust root signed, and the ids of the keys that signed it."""
    envelope, signed_by = _signed(trust, content, STEP_TYPE)
    return _parse(envelope.payload, Step, "step"), signed_by


def _check_listing(files: tuple[ReleasedFile, ...], name: str) -> None:
    """Raise `ModelRejected` unless the files are a bundle's, each named once and within its size limit."""
    sizes = {file.name: file.size for file in files}
    if len(sizes) != len(files):
        raise ModelRejected(f"{name}: expected each file once, got one twice")
    for required in BUNDLE_FILES:
        if required not in sizes:
            raise ModelRejected(f"{name}: expected the file {required}, found none")
    for file, size in sizes.items():
        if size > max_bytes(file):
            raise ModelRejected(f"{name}: {file}: expected at most {max_bytes(file)} bytes, got {size}")


def has_ended(trust: Trust, release: Release, now_ms: int) -> bool:
    """Whether a release may no longer be loaded: it has ended, or the trust root that vouches for it."""
    return now_ms >= min(release.expires_at, trust.root.expires_at)


def check_files(release: Release, files: Mapping[str, bytes]) -> None:
    """Raise `ModelRejected` unless these are the bytes of every file that the release names, and no others."""
    name = f"release {release.role} {release.version}"
    for file in release.files:
        content = files.get(file.name)
        if content is None:
            raise ModelRejected(f"{name}: {file.name}: expected this file, found none")
        if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
            raise ModelRejected(f"{name}: {file.name}: expected the {file.size} bytes that were released, got others")
    extra = files.keys() - {file.name for file in release.files}
    if extra:
        raise ModelRejected(f"{name}: expected the released files alone, got {len(extra)} more")


def payload_type_of(content: bytes) -> str:
    """Return what an envelope says that it holds, unverified; raises `ModelRejected` if it is none."""
    return _open(content, MAX_ROOT_BYTES, "record").payload_type


def _open(content: bytes, max_bytes: int, what: str) -> Envelope:
    try:
        return open_envelope(content, max_bytes=max_bytes)
    except EnvelopeError as error:
        raise ModelRejected(f"{what}: {error}") from None


def _signed(
    trust: Trust, content: bytes, payload_type: str, max_bytes: int = MAX_STATEMENT_BYTES
) -> tuple[Envelope, frozenset[str]]:
    what = payload_type.split(".")[-2]  # application/vnd.cardiosentry.release.v1+json
    envelope = _open(content, max_bytes, what)
    if envelope.payload_type != payload_type:
        raise ModelRejected(f"{what}: expected the payload type {payload_type}, got another")
    signed_by = signers_of(envelope, trust.keys)
    if not signed_by:
        raise ModelRejected(f"{what}: expected a signature by a signer of the trust root, found none")
    return envelope, signed_by


def _parse(payload: bytes, form: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(payload, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ModelRejected(f"{what}: expected a statement of the form that we know, got another") from None


def _check_signers(trust: Trust, role: Role, signed_by: frozenset[str], name: str) -> None:
    policy = trust.root.roles.get(role)
    if policy is None:
        raise ModelRejected(f"{name}: expected a role of the trust root, got one without a policy")
    entitled = [trust.root.signers[key] for key in signed_by if role in trust.root.signers[key].roles]
    if len(entitled) < policy.threshold:
        raise TooFewSigners(
            f"{name}: expected {policy.threshold} signers who may release a {role}, got {len(entitled)}", len(entitled)
        )
    if role == "champion" and not any(signer.kind == "person" for signer in entitled):
        raise ModelRejected(f"{name}: expected a person among the signers of a champion, got none")


def _read_root(envelope: Envelope) -> Trust:
    if envelope.payload_type != ROOT_TYPE:
        raise ModelRejected(f"trust root: expected the payload type {ROOT_TYPE}, got another")
    root = _parse(envelope.payload, TrustRoot, "trust root")
    trust = Trust(root)
    try:
        wrong = [key for key, public in trust.keys.items() if key_id(public) != key]
    except EnvelopeError as error:
        raise ModelRejected(f"trust root: {error}") from None
    for expected, found in (
        ("each signer under the id of its key", bool(wrong)),
        ("each signer's name once", len({signer.name for signer in root.signers.values()}) != len(root.signers)),
        ("root signers who are signers", not set(root.root_signers) <= root.signers.keys()),
        ("each root signer once", len(set(root.root_signers)) != len(root.root_signers)),
        (
            f"at least {root.root_threshold} root signers, since so many must sign the next trust root",
            len(root.root_signers) < root.root_threshold,
        ),
        ("no unattended key that may release a champion", any(map(_unattended_champion, root.signers.values()))),
        ("an end after its making", root.expires_at <= root.created_at),
        *(
            (
                f"at least {policy.threshold} signers who may release a {role}, since so many must sign one",
                sum(role in signer.roles for signer in root.signers.values()) < policy.threshold,
            )
            for role, policy in root.roles.items()
        ),
    ):
        if found:
            raise ModelRejected(f"trust root: expected {expected}, got another")
    return trust


def _unattended_champion(signer: Signer) -> bool:
    return signer.kind == "unattended" and "champion" in signer.roles


def _check_root_signatures(envelope: Envelope, *roots: Trust) -> frozenset[str]:
    """Return the root signers of any of `roots` who signed; raise `TooFewSigners` unless they suffice for each."""
    signed = [signers_of(envelope, trust.keys) & set(trust.root.root_signers) for trust in roots]
    signed_by = frozenset().union(*signed)
    for trust, by in zip(roots, signed, strict=True):
        if len(by) < trust.root.root_threshold:
            raise TooFewSigners(
                f"trust root {roots[-1].root.version}: expected signatures of {trust.root.root_threshold} root signers "
                f"of version {trust.root.version}, got {len(by)}",
                len(signed_by),
            )
    return signed_by
