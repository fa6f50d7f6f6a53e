"""`cardiosentry health`."""

import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import click

from contracts.errors import UserError

_ANSWER_S = 5.0


@click.command
@click.argument("targets", nargs=-1, required=True, metavar="PAGE|FILE...")
@click.option(
    "--within-s",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    help="How long ago a file may have been touched.",
)
def command(targets: tuple[str, ...], within_s: float) -> None:
    """Ask whether processes on this host are well: a page that answers, a file that is being touched (setting `beat`).

    Exits with 0 if all are. It is what a container's health check runs.

    \b
    Example:
      cardiosentry health http://127.0.0.1:6066/health/live
      cardiosentry health /tmp/beat
    """
    for target in targets:
        if target.startswith("http://"):
            _ask(target)
        else:
            _look(Path(target), within_s)
    click.echo("ok")


def _ask(page: str) -> None:
    parts = urlsplit(page)
    try:
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=_ANSWER_S)
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
        connection.close()
    except (OSError, ValueError, HTTPException):
        raise UserError(f"{page}: expected an answer within {_ANSWER_S:g} s, got none") from None
    if status != HTTPStatus.OK:
        raise UserError(f"{page}: expected that it is well, it answered {status}")


def _look(file: Path, within_s: float) -> None:
    try:
        age_s = time.time() - file.stat().st_mtime
    except OSError as error:
        raise UserError(f"{file}: expected a file that a process touches: {error.strerror}") from None
    if age_s > within_s:
        raise UserError(f"{file}: expected it touched within {within_s:g} s, it was {age_s:.0f} s ago")
