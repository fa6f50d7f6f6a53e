"""`cardiosentry quarantine`."""

import re
from pathlib import Path

import click

from cli.options import setting_options
from contracts.errors import UserError
from contracts.settings import Settings


@click.group
def command() -> None:
    """Open quarantined records with the reviewers' private key. Example: cardiosentry quarantine show"""


@command.command
@click.argument("origins", nargs=-1)
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True, help="Show at most so many.")
@setting_options("bootstrap", "topic_prefix", "keys")
def show(settings: Settings, origins: tuple[str, ...], count: int) -> None:
    """Show quarantined records with their content, oldest first, or those of ORIGINS (topic/partition/offset).

    The content may hold names: it is printed for you, and written nowhere.

    \b
    Example:
      cardiosentry quarantine show patient-events/3/4711 --keys keys
    """
    from cli.kafka import client_properties
    from contracts.topics import QUARANTINE
    from models.sealing import PrivateKey
    from monitoring.reader import TopicReader, headers
    from stream_app import quarantine

    for origin in origins:
        if not re.fullmatch(r".+/\d+/\d+", origin):
            raise click.BadParameter(
                f"expected topic/partition/offset, as `cardiosentry tail quarantine` shows it, got {origin!r}"
            )
    key = PrivateKey.load(Path(settings.keys) / quarantine.PRIVATE_KEY_FILE, "reviewers'")
    wanted = set(origins)
    shown = closed = 0
    topic = settings.topic_prefix + QUARANTINE.name
    with TopicReader(client_properties(settings), [topic], beginning=True) as reader:
        for message in reader.until_end():
            plain = headers(message)
            origin = plain.get(quarantine.ORIGIN_HEADER, b"?").decode("utf-8", "replace")
            if wanted and origin not in wanted:
                continue
            try:
                framed = quarantine.unseal(key, message.value() or b"", plain)
            except UserError as error:
                click.echo(f"{error}", err=True)
                closed += 1
                continue
            _show(origin, plain, framed)
            shown += 1
            wanted.discard(origin)
            if (shown == count and not origins) or (origins and not wanted):
                break
    if wanted:
        raise UserError(
            f"{', '.join(sorted(wanted))}: expected an origin of a record in quarantine that this private key opens, "
            "found none; `cardiosentry tail quarantine --beginning` shows them"
        )
    if closed:
        raise UserError(f"{closed} records: expected to open them with this private key, could not")
    if not shown:
        click.echo("nothing is quarantined")


def _show(origin: str, plain: dict[str, bytes], framed: bytes) -> None:
    from stream_app import quarantine

    reason, detail, digest, size = (
        plain[name].decode()
        for name in (
            quarantine.REASON_HEADER,
            quarantine.DETAIL_HEADER,
            quarantine.DIGEST_HEADER,
            quarantine.SIZE_HEADER,
        )
    )
    cut = f", the first {quarantine.MAX_COPY_BYTES} bytes" if int(size) > quarantine.MAX_COPY_BYTES else ""
    record_key, value = quarantine.unframe(framed)
    click.echo(f"{origin}  {reason}\n  {detail}\n  {size} bytes{cut}, {digest}")
    click.echo(f"  key   {record_key!r}\n  value {value!r}\n")
