"""Signers, trust roots and statements for tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.heart_disease import HEART_DISEASE
from contracts.releases import (
    BASELINE_TYPE,
    CONTAINMENT_TYPE,
    DAY_MS,
    RELEASE_TYPE,
    REVOCATION_TYPE,
    ROOT_TYPE,
    STEP_TYPE,
    Baseline,
    Containment,
    Release,
    ReleasedFile,
    Revocation,
    Role,
    RolePolicy,
    Signer,
    Step,
    TrustRoot,
    table_digest,
)
from models.dsse import encode_envelope, key_id, public_pem, seal
from models.keyfile import KeyFile
from tests.support.reference import made_up_reference

NOW_MS = 1_800_000_000_000
DIGEST = "sha256:" + "d" * 64
FILES = tuple(
    ReleasedFile(name=name, sha256=character * 64, size=100)
    for name, character in (("manifest.json", "a"), ("model.onnx", "b"), ("model.sig", "c"))
)


@dataclass(frozen=True)
class Someone:
    """A signer with the key."""

    key: KeyFile
    name: str
    kind: Literal["person", "unattended"]
    roles: tuple[Role, ...]
    may_revoke: bool

    @property
    def id(self) -> str:
        return key_id(self.key.public_key)

    @property
    def entry(self) -> Signer:
        pem = public_pem(self.key.public_key).decode()
        return Signer(name=self.name, kind=self.kind, public_key=pem, roles=self.roles, may_revoke=self.may_revoke)


def someone(
    name: str,
    *roles: Role,
    kind: Literal["person", "unattended"] = "person",
    may_revoke: bool = False,
) -> Someone:
    return Someone(KeyFile(ec.generate_private_key(ec.SECP256R1())), name, kind, roles, may_revoke)


ADA = someone("Ada", "champion", "challenger", "shadow", may_revoke=True)
BOB = someone("Bob", "champion", "challenger", "shadow")
ROBOT = someone("pipeline", "challenger", "shadow", kind="unattended")
MALLORY = someone("Mallory", "champion", "challenger", "shadow", may_revoke=True)


def root(
    *signers: Someone, by: Sequence[Someone] = (ADA,), thresholds: dict[Role, int] | None = None, **changes: Any
) -> bytes:
    """Return a trust root as bytes: Ada and Bob may release anything, the pipeline no champion; Ada signs roots."""
    known = signers or (ADA, BOB, ROBOT)
    policies: dict[Role, RolePolicy] = {
        role: RolePolicy(threshold=count)
        for role, count in {"champion": 1, "challenger": 1, "shadow": 1, **(thresholds or {})}.items()
    }
    made = TrustRoot(
        **{
            "version": 1,
            "created_at": NOW_MS - DAY_MS,
            "expires_at": NOW_MS + 300 * DAY_MS,
            "feature_table": table_digest(HEART_DISEASE),
            "signers": {each.id: each.entry for each in known},
            "roles": policies,
            "root_signers": (ADA.id,),
            **changes,
        }
    )
    return signed(ROOT_TYPE, made, *by)


def release(*by: Someone, **changes: Any) -> bytes:
    """Return a release of a champion, version 1, signed by Ada unless said otherwise."""
    made = Release(
        **{
            "role": "champion",
            "version": 1,
            "digest": DIGEST,
            "files": FILES,
            "created_at": NOW_MS - 1000,
            "expires_at": NOW_MS + 90 * DAY_MS,
            "reason": "better on the held-out site",
            **changes,
        }
    )
    return signed(RELEASE_TYPE, made, *(by or (ADA,)))


def revocation(*by: Someone, **changes: Any) -> bytes:
    """Return a revocation of `DIGEST`, signed by Ada unless said otherwise."""
    made = Revocation(**{"digest": DIGEST, "created_at": NOW_MS - 1000, "reason": "trained on leaked data", **changes})
    return signed(REVOCATION_TYPE, made, *(by or (ADA,)))


def baseline(*by: Someone, **changes: Any) -> bytes:
    """Return the first baseline of `DIGEST`, signed by Ada unless said otherwise."""
    made = Baseline(
        **{
            "digest": DIGEST,
            "version": 1,
            "created_at": NOW_MS,
            "reason": "our first week",
            "statistics": made_up_reference(),
            **changes,
        }
    )
    return signed(BASELINE_TYPE, made, *(by or (ADA,)))


def signed_step(*by: Someone, **changes: Any) -> bytes:
    """Return the statement that `DIGEST` was stored, signed by Ada unless said otherwise."""
    made = Step(**{"digest": DIGEST, "stage": "stored", "created_at": NOW_MS, "reason": "for review", **changes})
    return signed(STEP_TYPE, made, *(by or (ADA,)))


def signed(payload_type: str, statement: msgspec.Struct, *by: Someone) -> bytes:
    return encode_envelope(seal(payload_type, msgspec.json.encode(statement), [each.key for each in by]))


def containment(*by: Someone, **changes: Any) -> bytes:
    """Return a freeze of retraining, signed by Ada unless said otherwise."""
    made = Containment(
        **{
            "measure": "freeze-retraining",
            "version": 1,
            "created_at": NOW_MS - 1000,
            "reason": "outcomes look poisoned",
            **changes,
        }
    )
    return signed(CONTAINMENT_TYPE, made, *(by or (ADA,)))
