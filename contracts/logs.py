"""A line of a process's log as an ECS document: what processes write with the setting log_format = "ecs"."""

import msgspec

from contracts.alerts import Ecs


class LogEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`sequence` counts a process's lines, so that no two lines of the world are the same."""

    module: str = "cardiosentry"
    dataset: str = "cardiosentry.log"
    sequence: int


class Log(msgspec.Struct, frozen=True):
    level: str
    logger: str


class Node(msgspec.Struct, frozen=True):
    name: str


class Service(msgspec.Struct, frozen=True):
    """`node` is which of the processes: the supervisor, a worker's slot, the shipper."""

    node: Node
    name: str = "cardiosentry"


class Process(msgspec.Struct, frozen=True):
    pid: int


class Host(msgspec.Struct, frozen=True):
    name: str


class LogError(msgspec.Struct, frozen=True):
    type: str
    stack_trace: str


class LogLine(msgspec.Struct, frozen=True, kw_only=True, rename={"timestamp": "@timestamp"}):
    """One line. Like every log of ours it never holds a patient's fields."""

    timestamp: str
    ecs: Ecs = Ecs()
    event: LogEvent
    log: Log
    service: Service
    process: Process
    host: Host
    message: str
    error: LogError | None = None
