"""The audit trail of models as documents. Who may sign what is judged elsewhere: see `Judged`. No I/O."""

from collections.abc import Callable

import msgspec

from contracts.codec import encode
from contracts.releases import Baseline, Containment, Release, Revocation, Step, TrustRoot
from monitoring.elastic.documents import AuditDocument, Audited, EventBase, Signers

Statement = Release | Revocation | Baseline | Containment | Step | TrustRoot


class Judged(msgspec.Struct, frozen=True):
    """What a record of model-releases came to: a statement and who signed it, or why it was refused, in our words."""

    statement: Statement | None
    signed_by: tuple[str, ...] = ()
    fault: str | None = None


Judge = Callable[[bytes], Judged]
"""Takes the records of model-releases in their order, from the first one."""


def audited(judged: Judged, origin: str, at_ms: int) -> bytes:
    """Return the document of a judged record that stands at `origin` and came at `at_ms`, epoch milliseconds."""
    statement = judged.statement
    if statement is None:
        # What nobody vouches for may hold anything: where it stands is all that is shipped of it.
        fault = judged.fault or "refused"
        refused = Audited(verified=False, fault=fault, origin=origin)
        return encode(_document(at_ms, "refused", "denied", f"refused a record at {origin}: {fault}", refused))
    action, kind, about = _about(statement, origin)
    signers = ", ".join(judged.signed_by)
    of = about.digest or about.subject or "the trust root"
    reason = None if isinstance(statement, TrustRoot) else statement.reason
    message = f"{action} of {of}, signed by {signers}" + (f": {reason}" if reason else "")
    return encode(
        _document(statement.created_at, action, kind, message, about, Signers(judged.signed_by), reason=reason)
    )


def _about(statement: Statement, origin: str) -> tuple[str, str, Audited]:
    """Return the action, its type in ECS and what a statement is about."""
    match statement:
        case Release():
            return (
                "release",
                "creation",
                Audited(
                    verified=True,
                    digest=statement.digest,
                    role=statement.role,
                    version=statement.version,
                    expires_at=statement.expires_at,
                    origin=origin,
                ),
            )
        case Revocation():
            return "revocation", "deletion", Audited(verified=True, digest=statement.digest, origin=origin)
        case Baseline():
            about = Audited(verified=True, digest=statement.digest, version=statement.version, origin=origin)
            return "baseline", "change", about
        case Containment():
            about = Audited(
                verified=True,
                measure=statement.measure,
                subject=statement.subject,
                version=statement.version,
                origin=origin,
            )
            named = f"lift-{statement.measure}" if statement.lifted else statement.measure
            return named, "deletion" if statement.lifted else "creation", about
        case Step():
            about = Audited(verified=True, digest=statement.digest, stage=statement.stage, origin=origin)
            return "step", "info", about
    about = Audited(verified=True, version=statement.version, expires_at=statement.expires_at, origin=origin)
    return "trust-root", "change", about


def _document(
    at_ms: int,
    action: str,
    kind: str,
    message: str,
    about: Audited,
    user: Signers | None = None,
    *,
    reason: str | None = None,
) -> AuditDocument:
    return AuditDocument(
        timestamp=at_ms,
        event=EventBase(
            dataset="cardiosentry.audit",
            category=("configuration",),
            type=(kind,),
            action=action,
            outcome="success" if about.verified else "failure",
            reason=reason,
        ),
        user=user,
        message=message,
        cardiosentry=about,
    )
