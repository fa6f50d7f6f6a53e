"""Release statements: what is announced on model-releases, and the trust root that says whose word counts.

Only the forms; models/trust.py checks them. Times are UTC epoch milliseconds.
"""

import hashlib
import re
from typing import Annotated, Literal

import msgspec

from contracts.features import FeatureTable
from contracts.reference import ReferenceStatistics
from contracts.times import Time

Role = Literal["champion", "challenger", "shadow"]
ROLES: tuple[Role, ...] = ("champion", "challenger", "shadow")

EarlyStage = Literal["candidate", "gated", "stored"]
"""Where a bundle is before any release."""

DAY_MS = 86_400_000

RELEASE_TYPE = "application/vnd.cardiosentry.release.v1+json"
REVOCATION_TYPE = "application/vnd.cardiosentry.revocation.v1+json"
BASELINE_TYPE = "application/vnd.cardiosentry.baseline.v1+json"
CONTAINMENT_TYPE = "application/vnd.cardiosentry.containment.v1+json"
STEP_TYPE = "application/vnd.cardiosentry.step.v1+json"
ROOT_TYPE = "application/vnd.cardiosentry.trust-root.v1+json"

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A plain file name: no path, nothing hidden."""
FileName = Annotated[str, msgspec.Meta(pattern=f"^{FILE_NAME.pattern}$")]
KeyId = Sha256
Version = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
TEXT_CHARS = 1000
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARS)]


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class ReleasedFile(_Statement, frozen=True, kw_only=True):
    """A file of the bundle: fetched from the store by its SHA-256, never by its name."""

    name: FileName
    sha256: Sha256
    size: Annotated[int, msgspec.Meta(ge=0)]


class Release(_Statement, frozen=True, kw_only=True):
    """A bundle takes a role. `version` counts up within the role; going back to an older bundle is a new version.

    `revoked` repeats every revocation up to now, so that a deleted one does not come undone.
    """

    role: Role
    version: Version
    digest: Digest
    files: Annotated[tuple[ReleasedFile, ...], msgspec.Meta(min_length=3, max_length=32)]
    created_at: Time
    expires_at: Time
    reason: Text
    attestations: tuple[Text, ...] = ()
    revoked: tuple[Digest, ...] = ()


class Revocation(_Statement, frozen=True, kw_only=True):
    """A bundle that no worker may use from now on, in any role. It cannot be taken back."""

    digest: Digest
    created_at: Time
    reason: Text


class Baseline(_Statement, frozen=True, kw_only=True):
    """What drift of a bundle's stream is measured against from now on; without `statistics`, the bundle's own again.

    `version` counts up within the bundle; going back is a new version.
    """

    digest: Digest
    version: Version
    created_at: Time
    reason: Text
    statistics: ReferenceStatistics | None = None


Measure = Literal["freeze-retraining", "block-source", "revoke-key"]
"""What contains an incident; models/release_log.py says what follows from each."""

EVERYTHING = "*"
"""The subject of a measure that has none."""


class Containment(_Statement, frozen=True, kw_only=True):
    """A measure against an incident is in force from now on, or `lifted`.

    `subject` is the source or the id of the source's key. `version` counts up within the measure and its subject.
    """

    measure: Measure
    subject: Text = EVERYTHING
    version: Version
    lifted: bool = False
    created_at: Time
    reason: Text


class Contained(msgspec.Struct, frozen=True):
    """What workers send to quarantine: records of these sources and all below them, and by these keys, by their ids."""

    sources: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


class Step(_Statement, frozen=True, kw_only=True):
    """A bundle came to a stage before any release. For the audit trail: no worker acts on it."""

    digest: Digest
    stage: EarlyStage
    created_at: Time
    reason: Text


class Signer(_Statement, frozen=True, kw_only=True):
    """Whose key it is and what it may sign. A key that runs unattended may not release a champion."""

    name: Text
    kind: Literal["person", "unattended"]
    public_key: Annotated[str, msgspec.Meta(max_length=1000)]
    roles: tuple[Role, ...]
    may_revoke: bool = False


class RolePolicy(_Statement, frozen=True, kw_only=True):
    """How many signers a release needs, and which attestations it must carry."""

    threshold: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    attestations: tuple[Text, ...] = ()


class TrustRoot(_Statement, frozen=True, kw_only=True):
    """Whose word counts for what. Versions follow each other by one; each is signed under the one before it too.

    `feature_table` is the SHA-256 of the only table of features that a model here may read, see `table_digest`.
    """

    version: Version
    created_at: Time
    expires_at: Time
    feature_table: Sha256
    signers: dict[KeyId, Signer]
    roles: dict[Role, RolePolicy]
    root_signers: tuple[KeyId, ...]
    root_threshold: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


def table_digest(table: FeatureTable) -> str:
    """Return the digest by which a trust root names a table of features."""
    read = msgspec.json.decode(msgspec.json.encode(table), type=FeatureTable)  # 18 and 18.0 are one number
    return hashlib.sha256(msgspec.json.encode(read, order="deterministic")).hexdigest()
