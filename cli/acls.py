"""Access control on a cluster: who is which process, what is granted there, and the script that makes it so."""

import shlex
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from contracts.access import PROCESSES, Acl, Differences, Process, Resource
from contracts.errors import UserError
from contracts.refusals import explain

_ANSWER_S = 30.0
_HEAD = """\
#!/bin/sh
# CardioSentry's rights on Kafka, by `cardiosentry topics acl`. It may run as often as you like.
# KAFKA_ACLS is Kafka's command, ADMIN the file of properties by which it connects as somebody who may alter ACLs.
set -eu
acl() {{
  "${{KAFKA_ACLS:-kafka-acls.sh}}" --bootstrap-server {bootstrap} \\
    --command-config "${{ADMIN:-admin.properties}}" --force "$@"
}}"""
_RESOURCES: dict[Resource, ResourceType] = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
_NAMES = {kind: name for name, kind in _RESOURCES.items()}


def principals(chosen: Sequence[str], group: str) -> list[tuple[Process, str]]:
    """Return the processes with whom each is to Kafka, of options PROCESS[=PRINCIPAL]; without any, all of them."""
    known = {process.name: process for process in PROCESSES}
    found = []
    for text in chosen or known:
        name, _, user = text.partition("=")
        if name not in known:
            raise UserError(f"option --for: expected one of {', '.join(known)}; got {name!r}")
        user = user or f"User:{group}-{name}"
        kind, _, rest = user.partition(":")
        if kind != "User" or not rest or rest == "*":
            raise UserError(f"option --for: expected a principal like User:st-mary, got {user!r}")
        found.append((known[name], user))
    return found


def script(bootstrap: str, parts: Iterable[tuple[str, Sequence[Acl], str]]) -> str:
    """Return a shell script of kafka-acls.sh calls; each part is a comment, ACLs and `add` or `remove`."""
    lines = [_HEAD.format(bootstrap=shlex.quote(bootstrap))]
    for comment, acls, action in parts:
        lines.append(f"\n# {comment}")
        lines += [_call(list(same), action) for _, same in groupby(sorted(acls, key=_kind), _kind)]
    return "\n".join(lines)


def _kind(acl: Acl) -> tuple[str, str, str, bool, bool]:
    """What one call of kafka-acls.sh has once."""
    return acl.principal, acl.operation, acl.host, acl.allows, acl.prefixed


def _call(acls: list[Acl], action: str) -> str:
    first = acls[0]
    kind = "allow" if first.allows else "deny"
    words = ["acl", f"--{action}", f"--{kind}-principal", first.principal, "--operation", _title(first.operation)]
    words += [f"--{kind}-host", first.host] if first.host != "*" else []
    words += ["--resource-pattern-type", "prefixed"] if first.prefixed else []
    for acl in acls:
        words += ["--cluster"] if acl.resource == "cluster" else [f"--{acl.resource}", acl.name]
    return shlex.join(words)


def _title(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


def correction(bootstrap: str, found: Differences) -> str:
    """Return what is missing, too much or denied as the script that puts it right."""
    kinds = (
        ("missing", found.missing, "add"),
        ("too much", found.too_much, "remove"),
        ("in the way", found.denied, "remove"),
    )
    return script(
        bootstrap, [("\n# ".join(f"{kind}: {acl}" for acl in acls), acls, how) for kind, acls, how in kinds if acls]
    )


def read(client: AdminClient) -> list[Acl]:
    """Return every ACL of the cluster. Raises `UserError` if the broker refuses.

    None at all may mean that it has no authorizer, or that this user may not see them: librdkafka 2.16 says neither.
    """
    any_: Any = None  # which the client's types do not allow for
    everything = AclBindingFilter(
        ResourceType.ANY, any_, ResourcePatternType.ANY, any_, any_, AclOperation.ANY, AclPermissionType.ANY
    )
    try:
        bindings = client.describe_acls(everything, request_timeout=_ANSWER_S).result()
    except KafkaException as exception:
        raise _refused("read its access rights", exception) from None
    return [
        Acl(
            binding.principal,
            _NAMES[binding.restype],
            binding.name,
            binding.resource_pattern_type is ResourcePatternType.PREFIXED,
            binding.operation.name,
            binding.host,
            binding.permission_type is AclPermissionType.ALLOW,
        )
        for binding in bindings
        if binding.restype in _NAMES  # Kafka has more kinds than librdkafka names; a process of ours needs none of them
    ]


def grant(client: AdminClient, acls: Sequence[Acl]) -> None:
    """Create the ACLs; those that are there already stay as they are. Raises `UserError`."""
    bindings = [
        AclBinding(
            _RESOURCES[acl.resource],
            acl.name,
            ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL,
            acl.principal,
            acl.host,
            AclOperation[acl.operation],
            AclPermissionType.ALLOW,
        )
        for acl in acls
    ]
    for future in client.create_acls(bindings, request_timeout=_ANSWER_S).values():
        try:
            future.result()
        except KafkaException as exception:
            raise _refused("grant access rights", exception) from None


def _refused(what: str, exception: KafkaException) -> UserError:
    error: KafkaError = exception.args[0]
    if error.code() == KafkaError.SECURITY_DISABLED:
        return UserError(
            f"expected the broker to {what}, it has no authorizer: everybody may do everything (docs/kafka-security.md)"
        )
    why = explain(error.name(), error.str()) and "; expected a user who may alter the cluster"
    return UserError(f"expected the broker to {what}, it said: {error.str()}{why}")
