"""Making trust roots: the first one, of one person and what retrains unattended, with which a system starts."""

import time
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.errors import ModelRejected, UserError
from contracts.features import FeatureTable
from contracts.releases import DAY_MS, ROLES, ROOT_TYPE, Role, RolePolicy, Signer, TrustRoot, table_digest
from models.dsse import EnvelopeError, KeyProvider, encode_envelope, key_id, public_pem, read_public_key, seal
from models.files import create
from models.trust import MAX_ROOT_BYTES, Trust, first_root

ROOT_FILE = "trust-root.json"
RETRAINING = "retraining"
"""The name of the signer that is nobody."""
RETRAINING_ROLES: tuple[Role, ...] = ("challenger", "shadow")
_DAYS = 365


def make_first_root(
    key: KeyProvider,
    name: str,
    table: FeatureTable,
    *,
    now_ms: int,
    retraining: ec.EllipticCurvePublicKey | None = None,
) -> bytes:
    """Return version 1 of a trust root: one person, who may release for every role, revoke, and sign the next root.

    The key `retraining` may release challengers and shadows, and nothing else. Raises `UserError` for a person of its
    name.
    """
    if name == RETRAINING:
        raise UserError(f"signer: expected a person's name, got {name}, as the key that retrains unattended is called")
    pem = public_pem(key.public_key).decode()
    signers = {key_id(key.public_key): Signer(name=name, kind="person", public_key=pem, roles=ROLES, may_revoke=True)}
    if retraining is not None:
        signers[key_id(retraining)] = Signer(
            name=RETRAINING, kind="unattended", public_key=public_pem(retraining).decode(), roles=RETRAINING_ROLES
        )
    root = TrustRoot(
        version=1,
        created_at=now_ms,
        expires_at=now_ms + _DAYS * DAY_MS,
        feature_table=table_digest(table),
        signers=signers,
        roles={role: RolePolicy() for role in ROLES},
        root_signers=(key_id(key.public_key),),
    )
    return encode_envelope(seal(ROOT_TYPE, msgspec.json.encode(root), [key]))


def with_signer(
    root: TrustRoot,
    name: str,
    public_key: str,
    roles: tuple[Role, ...],
    *,
    unattended: bool,
    may_revoke: bool,
    signs_roots: bool,
) -> TrustRoot:
    """Return the root with one signer more; raises `UserError` for a key that is none, or a name that is there."""
    try:
        key = key_id(read_public_key(public_key.encode()))
    except EnvelopeError as error:
        raise UserError(f"signer {name}: {error}") from None
    if key in root.signers or any(signer.name == name for signer in root.signers.values()):
        raise UserError(f"signer {name}: expected a name and a key that are not in the trust root yet")
    kind: Literal["person", "unattended"] = "unattended" if unattended else "person"
    signer = Signer(name=name, kind=kind, public_key=public_key, roles=roles, may_revoke=may_revoke)
    root_signers = (*root.root_signers, key) if signs_roots else root.root_signers
    return msgspec.structs.replace(root, signers={**root.signers, key: signer}, root_signers=root_signers)


def without_signer(root: TrustRoot, name: str) -> TrustRoot:
    """Return the root without a signer; raises `UserError` for a name that is not there."""
    signers = {key: signer for key, signer in root.signers.items() if signer.name != name}
    if len(signers) == len(root.signers):
        raise UserError(f"signer {name}: expected a signer of the trust root; `cardiosentry trust show` has them")
    root_signers = tuple(key for key in root.root_signers if key in signers)
    return msgspec.structs.replace(root, signers=signers, root_signers=root_signers)


def with_threshold(root: TrustRoot, what: Role | Literal["roots"], count: int) -> TrustRoot:
    """Return the root with `count` signers needed for a release of the role, or for a trust root."""
    if what == "roots":
        return msgspec.structs.replace(root, root_threshold=count)
    policy = msgspec.structs.replace(root.roles.get(what, RolePolicy()), threshold=count)
    return msgspec.structs.replace(root, roles={**root.roles, what: policy})


def with_attestation(root: TrustRoot, role: Role, attestation: str, *, wanted: bool) -> TrustRoot:
    """Return the root in which each release of the role must carry an attestation, or need not any more."""
    policy = root.roles.get(role, RolePolicy())
    others = tuple(each for each in policy.attestations if each != attestation)
    policy = msgspec.structs.replace(policy, attestations=(*others, attestation) if wanted else others)
    return msgspec.structs.replace(root, roles={**root.roles, role: policy})


def sign_next(root: TrustRoot, key: KeyProvider, *, now_ms: int) -> bytes:
    """Return `root` as the next version, signed by `key`, for another year."""
    following = msgspec.structs.replace(
        root, version=root.version + 1, created_at=now_ms, expires_at=now_ms + _DAYS * DAY_MS
    )
    return encode_envelope(seal(ROOT_TYPE, msgspec.json.encode(following), [key]))


def write_first_root(
    directory: Path, key: KeyProvider, name: str, table: FeatureTable, retraining: ec.EllipticCurvePublicKey
) -> None:
    """Write trust-root.json into `directory`, where none may be."""
    now_ms = time.time_ns() // 1_000_000
    create(directory / ROOT_FILE, make_first_root(key, name, table, now_ms=now_ms, retraining=retraining))


def read_root(directory: Path) -> Trust:
    """Return the trust root in a directory of keys; raises `UserError` (with it `ModelRejected`)."""
    path = directory / ROOT_FILE
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ROOT_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: expected the trust root of `keys generate`, got: {error.strerror}") from None
    try:
        return first_root(content)
    except ModelRejected as rejected:
        raise ModelRejected(f"{path}: {rejected}") from None
