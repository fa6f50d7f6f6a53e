"""Write the table of docs/kafka-security.md: `python docs/write_access.py`. A test says when it is not current."""

import re
from collections.abc import Iterable
from pathlib import Path

from contracts.access import PROCESSES, Process
from contracts.topics import Topic

PAGE = Path(__file__).with_name("kafka-security.md")
HEAD = "| process | runs | reads | writes | group |\n|---|---|---|---|---|\n"


def names(topics: Iterable[Topic]) -> str:
    return ", ".join(topic.name for topic in topics)


def row(process: Process) -> str:
    joined = ", ".join(process.groups).format(group="GROUP", user="USER")
    sees = f"sees how far GROUP is in {names(process.watches)}" if process.watches else ""
    transactions = "transactional ids GROUP-…" if process.transactional else ""
    group = "; ".join(filter(None, (joined, transactions, sees)))
    return f"| {process.name} | {process.runs} | {names(process.reads)} | {names(process.writes)} | {group} |\n"


def table() -> str:
    return HEAD + "".join(map(row, PROCESSES))


def document() -> str:
    return re.sub(rf"{re.escape(HEAD)}(\|.*\n)*", lambda _: table(), PAGE.read_text("utf-8"))


if __name__ == "__main__":
    PAGE.write_text(document(), "utf-8")
