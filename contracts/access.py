"""Who may do what on Kafka: one row a kind of process, and nothing that it does not need.

`cardiosentry topics acl` and the table in docs/kafka-security.md come from it. READ and WRITE hold DESCRIBE (Kafka's
documentation, Authorization and ACLs), and WRITE on a topic is enough for an idempotent producer since Kafka 3.0
(KIP-679), so that no process has a right on the cluster.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from contracts.topics import (
    EVENTS,
    INCIDENT_ACTS,
    MODEL_ALERTS,
    NEVER_JOINED,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINE,
    RELEASES,
    SECURITY_ALERTS,
    SHADOW_PREDICTIONS,
    SHIP_REJECTS,
    SIGNALS,
    Topic,
)

Resource = Literal["topic", "group", "transactional-id", "cluster"]


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of process.

    In `groups`, the consumer groups that it joins, {group} is the setting and {user} its user. A `transactional` one
    takes transactional ids that begin with the setting and a dash. One that `watches` topics asks how far the workers'
    group is in them.
    """

    name: str
    runs: str
    reads: tuple[Topic, ...] = ()
    writes: tuple[Topic, ...] = ()
    groups: tuple[str, ...] = ()
    transactional: bool = False
    watches: tuple[Topic, ...] = ()

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Every topic that the process touches, each once."""
        return tuple(dict.fromkeys((*self.reads, *self.writes, *self.watches)))


_ALERTS = (SECURITY_ALERTS, MODEL_ALERTS)

WORKER = Process(
    name="worker",
    runs="`serve`",
    reads=(EVENTS, OUTCOMES, SIGNALS, RELEASES),
    writes=(PREDICTIONS, SHADOW_PREDICTIONS, QUARANTINE, *_ALERTS, SIGNALS),
    groups=("{group}",),
    transactional=True,
)

NOTIFY = Process(
    name="notify", runs="`notify`", reads=_ALERTS, groups=("{group}-notify",), watches=(EVENTS, OUTCOMES, SIGNALS)
)

CONSOLE = Process(
    name="console",
    runs="`console`",
    reads=(PREDICTIONS, QUARANTINE, *_ALERTS, RELEASES, SIGNALS),
)

SHIPPER = Process(
    name="shipper",
    runs="`ship`",
    reads=(PREDICTIONS, SHADOW_PREDICTIONS, QUARANTINE, *_ALERTS, RELEASES, INCIDENT_ACTS),
    writes=(SHIP_REJECTS,),
    groups=("{group}-ship-alerts", "{group}-ship-records", "{group}-ship-audit"),
)

PROCESSES = (
    Process(
        name="producer", runs="a hospital's source of events: `produce`, or a program of its own", writes=(EVENTS,)
    ),
    Process(name="outcomes", runs="a hospital's source of diagnoses, as above", writes=(OUTCOMES,)),
    WORKER,
    Process(
        name="consumer",
        runs="an application of yours that reads predictions; its consumer group is named as its user",
        reads=(PREDICTIONS,),
        groups=("{user}",),
    ),
    Process(
        name="release",
        runs="`release`, `approve`, `rollback`, `revoke`, `contain`, `trust`",
        reads=(RELEASES,),
        writes=(RELEASES,),
    ),
    Process(name="baseline", runs="`baseline`", reads=(EVENTS, RELEASES), writes=(RELEASES,)),
    Process(
        name="retrain",
        runs="`retrain`, which announces a challenger at its end, and `triggers`",
        reads=(EVENTS, OUTCOMES, PREDICTIONS, QUARANTINE, *_ALERTS, RELEASES),
        writes=(RELEASES,),
    ),
    Process(name="rescan", runs="`rescan`", reads=(RELEASES,), writes=(SECURITY_ALERTS,)),
    Process(name="models", runs="`models`", reads=(RELEASES, PREDICTIONS, SHADOW_PREDICTIONS)),
    Process(name="reviewer", runs="`quarantine show`", reads=(QUARANTINE,)),
    SHIPPER,
    NOTIFY,
    Process(
        name="incidents",
        runs="`incidents`",
        reads=(*_ALERTS, INCIDENT_ACTS, RELEASES),
        writes=(INCIDENT_ACTS,),
    ),
    CONSOLE,
)


class Acl(NamedTuple):
    """One access control entry, as Kafka keeps it. `prefixed` means every resource whose name begins with `name`."""

    principal: str
    resource: Resource
    name: str
    prefixed: bool
    operation: str
    host: str = "*"
    allows: bool = True

    def covers(self, other: "Acl") -> bool:
        """Whether what `other` names is among what this one names, by resource alone."""
        if self.resource != other.resource:
            return False
        if self.prefixed:
            return other.name.startswith(self.name)
        return self.name == "*" or (self.name == other.name and not other.prefixed)

    def __str__(self) -> str:
        """Return it for people, in ASCII on one line: its names are chosen by whoever may create ACLs."""
        may = "may" if self.allows else "may not"
        name = f"{self.name}..." if self.prefixed else self.name
        where = f" from {self.host}" if self.host != "*" else ""
        said = f"{self.principal} {may} {self.operation} {self.resource} {name}{where}"
        return said.encode("unicode_escape").decode()


def rights(process: Process, user: str, *, prefix: str, group: str) -> list[Acl]:
    """Return the ACLs of a process that is known to Kafka as `user`, a principal like User:cardiosentry-worker.

    `prefix` and `group` are the settings topic_prefix and group.
    """
    wanted: list[tuple[Resource, str, bool, str]] = []
    for operation, topics in (("READ", process.reads), ("WRITE", process.writes), ("DESCRIBE", process.watches)):
        wanted += [("topic", prefix + topic.name, False, operation) for topic in topics]
    for name in process.groups:
        wanted.append(("group", name.format(group=group, user=user.partition(":")[2]), False, "READ"))
    if process.reads:
        wanted.append(("group", NEVER_JOINED, False, "DESCRIBE"))
    if process.watches:
        wanted.append(("group", group, False, "DESCRIBE"))
    if process.transactional:
        wanted.append(("transactional-id", f"{group}-", True, "WRITE"))
    return [Acl(user, *each) for each in wanted]


class Differences(NamedTuple):
    """How a cluster's ACLs differ from the table: `denied` are those that take away what a process needs."""

    missing: list[Acl]
    too_much: list[Acl]
    denied: list[Acl]


def differences(wanted: Sequence[Acl], found: Iterable[Acl], *, prefix: str, group: str) -> Differences:
    """Compare what should be with what a cluster has.

    Too much is what a principal of `wanted` may do besides, anywhere on the cluster, and what anybody else may do on
    the topics of this system, on the groups of its processes or on their transactional ids.
    """
    there, should = set(found), set(wanted)
    users = {acl.principal for acl in wanted}
    own = _own(wanted, prefix, group)
    allowed = {acl for acl in there if acl.allows}
    too_much = [
        acl
        for acl in allowed - should
        if acl.principal in users or any(acl.covers(each) or each.covers(acl) for each in own)
    ]
    denied = [
        acl
        for acl in there - allowed
        if any(
            acl.principal in (each.principal, "User:*")
            and acl.operation in (each.operation, "ALL")
            and (acl.covers(each) or each.covers(acl))
            for each in wanted
        )
    ]
    return Differences(sorted(should - there), sorted(too_much), sorted(denied))


def _own(wanted: Iterable[Acl], prefix: str, group: str) -> list[Acl]:
    """Return this system's resources, as ACLs of nobody."""
    own = [Acl("", "transactional-id", f"{group}-", True, "")]
    for process in PROCESSES:
        own += [Acl("", "topic", prefix + topic.name, False, "") for topic in process.topics]
        own += [
            Acl("", "group", name.format(group=group), False, "") for name in process.groups if "{user}" not in name
        ]
    return own + [acl for acl in wanted if acl.resource == "group" and acl.name != NEVER_JOINED]
