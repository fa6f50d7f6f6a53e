"""A commit begins a run when the code host says so with the secret, and nothing else does."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from models.pipeline.webhook import Host, Unbelieved, Unreadable, read_request

SECRET = b"a secret of thirty-two characters"
SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
REPOSITORY = {"full_name": "st-mary/model", "default_branch": "main"}
PROJECT = {"path_with_namespace": "st-mary/model", "default_branch": "main"}

PUSH = {"ref": "refs/heads/main", "after": SHA, "deleted": False, "repository": REPOSITORY}
MERGE = {
    "action": "closed",
    "pull_request": {"base": {"ref": "main"}, "merged": True, "merge_commit_sha": SHA},
    "repository": REPOSITORY,
}
LAB_PUSH = {"ref": "refs/heads/main", "checkout_sha": SHA, "project": PROJECT}
LAB_MERGE = {
    "object_attributes": {"target_branch": "main", "action": "merge", "merge_commit_sha": SHA},
    "project": PROJECT,
}


def request(host: Host, event: str, body: Any) -> str | None:
    """Return what the trigger says of a request that is made with the secret."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if host == "github":
        signature = hmac.new(SECRET, content, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": event, "X-Hub-Signature-256": f"sha256={signature}"}
    else:
        headers = {"X-Gitlab-Event": event, "X-Gitlab-Token": SECRET.decode()}
    found = read_request(host, headers, content, SECRET, 0)
    assert found is None or (found.kind, found.at) == ("commit", "1970-01-01T00:00:00Z")
    return found.says if found else None


@pytest.mark.parametrize(
    ("host", "event", "body"),
    [
        ("github", "push", PUSH),
        ("github", "pull_request", MERGE),
        ("gitlab", "Push Hook", LAB_PUSH),
        ("gitlab", "Merge Request Hook", LAB_MERGE),
    ],
)
def test_a_push_and_a_merge_into_the_default_branch_are_one_trigger(host: Host, event: str, body: Any) -> None:
    assert request(host, event, body) == f"commit {SHA} on main of st-mary/model"


@pytest.mark.parametrize(
    ("host", "event", "body"),
    [
        ("github", "ping", {"zen": "Keep it logically awesome."}),
        ("github", "push", {**PUSH, "ref": "refs/heads/try-out"}),
        ("github", "push", {**PUSH, "deleted": True, "after": "0" * 40}),
        ("github", "pull_request", {**MERGE, "action": "opened"}),
        ("github", "pull_request", {**MERGE, "pull_request": {"base": {"ref": "main"}, "merged": False}}),
        ("gitlab", "Push Hook", {**LAB_PUSH, "checkout_sha": None}),
        ("gitlab", "Push Hook", {**LAB_PUSH, "ref": "refs/heads/try-out"}),
        ("gitlab", "Merge Request Hook", {**LAB_MERGE, "object_attributes": {"target_branch": "main"}}),
        ("gitlab", "Note Hook", {}),
    ],
)
def test_what_changes_no_default_branch_triggers_nothing(host: Host, event: str, body: Any) -> None:
    assert request(host, event, body) is None


def test_the_signature_is_that_of_githubs_own_example() -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-GitHub-Event": "ping", "X-Hub-Signature-256": signature}
    assert read_request("github", headers, b"Hello, World!", b"It's a Secret to Everybody", 0) is None
    with pytest.raises(Unbelieved):
        read_request("github", headers, b"Hello, World?", b"It's a Secret to Everybody", 0)


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("github", {}),
        ("github", {"X-Hub-Signature-256": "sha256="}),
        ("github", {"X-Hub-Signature-256": "sha256=" + "é" * 64}),
        ("github", {"X-Gitlab-Token": SECRET.decode()}),
        ("gitlab", {}),
        ("gitlab", {"X-Gitlab-Token": SECRET.decode()[:-1]}),
        ("gitlab", {"X-Gitlab-Token": "\udcff"}),
    ],
)
def test_nothing_is_read_of_a_request_without_the_secret(host: Host, headers: dict[str, str]) -> None:
    with pytest.raises(Unbelieved):
        read_request(host, {**headers, "X-GitHub-Event": "push", "X-Gitlab-Event": "Push Hook"}, b"{", SECRET, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        json.dumps({**PUSH, "after": "main; rm -rf /"}).encode(),
        json.dumps({**PUSH, "repository": {**REPOSITORY, "full_name": "a\nb"}}).encode(),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable, match="expected an event of github"):
        request("github", "push", body)
