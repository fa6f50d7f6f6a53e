"""Tables and times for people."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 180
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text under their columns; it stays text, whoever wrote it."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    console().print(table)


def plain(text: str) -> Text:
    """Return text as it is, on one line: no markup, no emoji, nothing that a terminal acts on or that turns it."""
    return Text(_CONTROL.sub("\ufffd", text))


def console() -> Console:
    """Return a console on standard output, wide where it is piped."""
    return Console(width=None if Console().is_terminal else _PIPED_WIDTH)


def print_json(row: object) -> None:
    """Print an object as one line of JSON, in ASCII: JSON may hold more than a terminal shows and does not act on."""
    click.echo(json.dumps(row))


def escaped(line: str) -> str:
    """Return a line of JSON that means the same and on which no terminal acts."""
    return _CONTROL.sub(lambda found: " " if found[0].isspace() else f"\\u{ord(found[0]):04x}", line)


def when(at_ms: int) -> str:
    """Return a time in epoch milliseconds for people, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
