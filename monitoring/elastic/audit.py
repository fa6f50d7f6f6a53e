"""The audit trail of models as documents. Who may sign what is judged elsewhere: see `Judged`. No I/O."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from contracts.codec import encode
from contracts.incidents import IncidentAct
from contracts.releases import Baseline, Containment, Release, Revocation, Step, TrustRoot
from contracts.topics import Topic
from monitoring.elastic.documents import AuditDocument, Audited, EventBase, Signers

Statement = Release | Revocation | Baseline | Containment | Step | TrustRoot | IncidentAct


class Judged(msgspec.Struct, frozen=True):
    """What a signed record came to: a statement and who signed it, or why it was refused, in our words."""

    statement: Statement | None
    signed_by: tuple[str, ...] = ()
    fault: str | None = None


Judge = Callable[[Topic, bytes, int], Judged]
"""Takes the records of model-releases and of incident-acts, each in their order, from the first one, with the time of
the record in Kafka."""


def audited(judged: Judged, origin: str, at_ms: int) -> bytes:
    """Return the document of a judged record that stands at `origin` and came at `at_ms`, epoch milliseconds.

    That is its time: a signer may say any, and what is out of the usual range of time nobody sees.
    """
    statement = judged.statement
    if statement is None:
        # What nobody vouches for may hold anything: where it stands is all that is shipped of it.
        fault = judged.fault or "refused"
        refused = Audited(verified=False, fault=fault, origin=origin)
        return encode(_document(at_ms, "refused", "denied", f"refused a record at {origin}: {fault}", refused))
    action, kind, about = _about(statement, origin)
    signers = ", ".join(judged.signed_by)
    of = about.digest or about.subject or about.incident or "the trust root"
    match statement:
        case TrustRoot():
            reason = None
        case IncidentAct():
            reason = statement.note or None
        case _:
            reason = statement.reason
    message = f"{action} of {of}, signed by {signers}" + (f": {reason}" if reason else "")
    return encode(_document(at_ms, action, kind, message, about, Signers(judged.signed_by), reason=reason))


def _about(statement: Statement, origin: str) -> tuple[str, str, Audited]:
    """Return the action, its type in ECS and what a statement is about."""
    action, kind = type(statement).__name__.lower(), "change"
    about = Audited(
        verified=True,
        digest=getattr(statement, "digest", None),
        version=getattr(statement, "version", None),
        signed_at=statement.created_at,
        expires_at=getattr(statement, "expires_at", None),
        origin=origin,
    )
    match statement:
        case Release():
            kind, about = "creation", replace(about, role=statement.role)
        case Revocation():
            kind = "deletion"
        case Containment():
            action = f"lift-{statement.measure}" if statement.lifted else statement.measure
            kind = "deletion" if statement.lifted else "creation"
            about = replace(about, measure=statement.measure, subject=statement.subject)
        case Step():
            kind, about = "info", replace(about, stage=statement.stage)
        case IncidentAct():
            action, kind = statement.act, "deletion" if statement.act == "close" else "change"
            about = replace(
                about, incident=statement.incident, assignee=statement.to or None, verdict=statement.verdict
            )
        case TrustRoot():
            action = "trust-root"
    return action, kind, about


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
