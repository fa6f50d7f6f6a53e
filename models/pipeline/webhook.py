"""What a code host says of a commit, believed only with its secret. No I/O: headers and body in, a trigger out.

GitHub signs the body (X-Hub-Signature-256, HMAC-SHA256); GitLab sends the secret itself (X-Gitlab-Token), so it must
come over TLS. A push to the default branch and a merge into it are the same commit and so the same trigger.
https://docs.github.com/en/webhooks/webhook-events-and-payloads
https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from models.pipeline.run import Trigger, to_time

MAX_BODY_BYTES = 25 * 1024 * 1024
"""GitHub sends no larger one."""

Host = Literal["github", "gitlab"]

_Commit = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?\Z")]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[\w./+#-]{1,200}\Z")]
_Ref = Annotated[str, msgspec.Meta(max_length=1000)]
"""Any branch: those with other names than ours are compared and never told."""


class Unbelieved(Exception):
    """The request was not made with the secret."""


class Unreadable(Exception):
    """The request was made with the secret and says nothing that we can read."""


class _Repository(msgspec.Struct):
    full_name: _Name
    default_branch: _Name


class _Push(msgspec.Struct):
    ref: _Ref
    after: _Commit
    repository: _Repository
    deleted: bool = False


class _Base(msgspec.Struct):
    ref: _Ref


class _PullRequest(msgspec.Struct):
    base: _Base
    merged: bool = False
    merge_commit_sha: _Commit | None = None


class _PullRequestEvent(msgspec.Struct):
    action: str
    pull_request: _PullRequest
    repository: _Repository


class _Project(msgspec.Struct):
    path_with_namespace: _Name
    default_branch: _Name


class _GitLabPush(msgspec.Struct):
    ref: _Ref
    project: _Project
    checkout_sha: _Commit | None = None


class _MergeRequest(msgspec.Struct):
    target_branch: _Ref
    action: str | None = None
    merge_commit_sha: _Commit | None = None


class _GitLabMerge(msgspec.Struct):
    object_attributes: _MergeRequest
    project: _Project


def read_request(host: Host, headers: Mapping[str, str], body: bytes, secret: bytes, now_ms: int) -> Trigger | None:
    """Return the trigger of a request, None for one that changes no default branch.

    Raises `Unbelieved` without the secret, before anything of the body is read, and `Unreadable`.
    """
    _check(host, headers, body, secret)
    try:
        commit = (_github if host == "github" else _gitlab)(headers, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"expected an event of {host} as its documentation has it: {error}") from None
    return None if commit is None else Trigger("commit", commit, to_time(now_ms))


def check_headers(host: Host, headers: Mapping[str, str], secret: bytes) -> None:
    """Raise `Unbelieved` where the headers alone show that the secret is not there: no body need be read."""
    if host == "gitlab":
        _check(host, headers, b"", secret)
    elif not re.fullmatch(r"sha256=[0-9a-f]{64}", headers.get("X-Hub-Signature-256", "")):
        raise Unbelieved


def _check(host: Host, headers: Mapping[str, str], body: bytes, secret: bytes) -> None:
    if host == "github":
        said = headers.get("X-Hub-Signature-256", "")
        right = f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"
    else:
        said, right = headers.get("X-Gitlab-Token", ""), secret.decode()
    if not hmac.compare_digest(said.encode("utf-8", "surrogateescape"), right.encode()):
        raise Unbelieved


def _github(headers: Mapping[str, str], body: bytes) -> str | None:
    match headers.get("X-GitHub-Event"):
        case "push":
            push = msgspec.json.decode(body, type=_Push)
            of = push.repository
            changed = not push.deleted and push.ref == f"refs/heads/{of.default_branch}"
            return _says(push.after, of.default_branch, of.full_name) if changed else None
        case "pull_request":
            event = msgspec.json.decode(body, type=_PullRequestEvent)
            request, of = event.pull_request, event.repository
            merged = event.action == "closed" and request.merged and request.base.ref == of.default_branch
            commit = request.merge_commit_sha
            return _says(commit, of.default_branch, of.full_name) if merged and commit else None
    return None


def _gitlab(headers: Mapping[str, str], body: bytes) -> str | None:
    match headers.get("X-Gitlab-Event"):
        case "Push Hook":
            push = msgspec.json.decode(body, type=_GitLabPush)
            of, commit = push.project, push.checkout_sha  # null where the branch was deleted
            changed = push.ref == f"refs/heads/{of.default_branch}"
            return _says(commit, of.default_branch, of.path_with_namespace) if changed and commit else None
        case "Merge Request Hook":
            event = msgspec.json.decode(body, type=_GitLabMerge)
            request, of = event.object_attributes, event.project
            commit = request.merge_commit_sha
            merged = request.action == "merge" and request.target_branch == of.default_branch
            return _says(commit, of.default_branch, of.path_with_namespace) if merged and commit else None
    return None


def _says(commit: str, branch: str, repository: str) -> str:
    return f"commit {commit} on {branch} of {repository}"
