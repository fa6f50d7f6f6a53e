"""Tables and times for people."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 180
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text under their columns; it stays text, whoever wrote it."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    console().print(table)


def plain(text: str) -> Text:
    """Return text as it is: no markup, no emoji, and nothing that a terminal acts on or that turns its order about."""
    return Text(_CONTROL.sub("\ufffd", text))


def console() -> Console:
    """Return a console on standard output, wide where it is piped."""
    return Console(width=None if Console().is_terminal else _PIPED_WIDTH)


def when(at_ms: int) -> str:
    """Return a time in epoch milliseconds for people, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
