"""Making statements: what `cardiosentry release`, `rollback`, `revoke` and `baseline` sign. No Kafka in here."""

import hashlib
from collections.abc import Mapping

import msgspec

from contracts.errors import UserError
from contracts.reference import ReferenceStatistics
from contracts.releases import (
    BASELINE_TYPE,
    CONTAINMENT_TYPE,
    DAY_MS,
    RELEASE_TYPE,
    REVOCATION_TYPE,
    STEP_TYPE,
    Baseline,
    Containment,
    EarlyStage,
    Measure,
    Release,
    ReleasedFile,
    Revocation,
    Role,
    Step,
)
from models.dsse import KeyProvider, encode_envelope, seal
from models.release_log import ReleaseLog


def listed(files: Mapping[str, bytes]) -> tuple[ReleasedFile, ...]:
    """Return how a release names a bundle's files."""
    return tuple(
        ReleasedFile(name=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for name, content in sorted(files.items())
    )


def sign_release(
    files: tuple[ReleasedFile, ...],
    digest: str,
    log: ReleaseLog,
    key: KeyProvider,
    *,
    role: Role,
    reason: str,
    now_ms: int,
    days: int,
    attestations: tuple[str, ...] = (),
) -> bytes:
    """Return a release of the bundle of these `files` as the next version of `role`, signed by `key`.

    Raises `UserError` for a bundle that was revoked.
    """
    if digest in log.revoked:
        raise UserError(f"{digest}: expected a bundle that may be released, got one that was revoked")
    statement = Release(
        role=role,
        version=log.next_version(role),
        digest=digest,
        files=files,
        created_at=now_ms,
        expires_at=now_ms + days * DAY_MS,
        reason=reason,
        attestations=attestations,
        revoked=tuple(sorted(log.revoked)),
    )
    return encode_envelope(seal(RELEASE_TYPE, msgspec.json.encode(statement), [key]))


def sign_rollback(earlier: Release, log: ReleaseLog, key: KeyProvider, *, reason: str, now_ms: int, days: int) -> bytes:
    """Return a release of an earlier bundle as the next version of its role: a version never goes back."""
    return sign_release(
        earlier.files,
        earlier.digest,
        log,
        key,
        role=earlier.role,
        reason=reason,
        now_ms=now_ms,
        days=days,
        attestations=earlier.attestations,
    )


def sign_revocation(digest: str, key: KeyProvider, *, reason: str, now_ms: int) -> bytes:
    """Return the revocation of a bundle, signed by `key`."""
    statement = Revocation(digest=digest, created_at=now_ms, reason=reason)
    return encode_envelope(seal(REVOCATION_TYPE, msgspec.json.encode(statement), [key]))


def sign_containment(
    measure: Measure, subject: str, log: ReleaseLog, key: KeyProvider, *, lifted: bool, reason: str, now_ms: int
) -> bytes:
    """Return the next statement of a measure, signed by `key`: in force from now on, or `lifted`."""
    version = log.next_measure_version(measure, subject)
    statement = Containment(
        measure=measure, subject=subject, version=version, lifted=lifted, created_at=now_ms, reason=reason
    )
    return encode_envelope(seal(CONTAINMENT_TYPE, msgspec.json.encode(statement), [key]))


def sign_step(digest: str, stage: EarlyStage, key: KeyProvider, *, reason: str, now_ms: int) -> bytes:
    """Return the statement that a bundle came to a stage before any release, signed by `key`."""
    statement = Step(digest=digest, stage=stage, created_at=now_ms, reason=reason)
    return encode_envelope(seal(STEP_TYPE, msgspec.json.encode(statement), [key]))


def sign_baseline(
    statistics: ReferenceStatistics | None, digest: str, log: ReleaseLog, key: KeyProvider, *, reason: str, now_ms: int
) -> bytes:
    """Return the next baseline of a bundle, signed by `key`; without `statistics` the bundle's own reference holds."""
    version = log.next_baseline_version(digest)
    statement = Baseline(digest=digest, version=version, created_at=now_ms, reason=reason, statistics=statistics)
    return encode_envelope(seal(BASELINE_TYPE, msgspec.json.encode(statement), [key]))
