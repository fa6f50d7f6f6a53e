"""`cardiosentry quarantine`."""

from pathlib import Path

import click

from cli.options import setting_options
from contracts.errors import UserError
from contracts.settings import Settings


@click.group
def command() -> None:
    """Open quarantined records with the reviewers' private key."""


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
    from monitoring.reader import TopicReader, headers
    from stream_app import quarantine

    key = quarantine.load_reviewers_private_key(Path(settings.keys) / quarantine.PRIVATE_KEY_FILE)
    wanted = set(origins)
    shown = 0
    with TopicReader(client_properties(settings), [settings.topic_prefix + QUARANTINE.name], beginning=True) as reader:
        while shown < count and (messages := reader.read(2.0)):
            for message in messages:
                plain = headers(message)
                origin = plain.get(quarantine.ORIGIN_HEADER, b"").decode()
                if (wanted and origin not in wanted) or shown == count:
                    continue
                record_key, value = quarantine.unframe(quarantine.unseal(key, message.value() or b"", plain))
                size = int(plain[quarantine.SIZE_HEADER])
                cut = f", the first {quarantine.MAX_COPY_BYTES} bytes" if size > quarantine.MAX_COPY_BYTES else ""
                click.echo(f"{origin}  {plain[quarantine.REASON_HEADER].decode()}")
                click.echo(f"  {plain[quarantine.DETAIL_HEADER].decode()}")
                click.echo(f"  {size} bytes{cut}, {plain[quarantine.DIGEST_HEADER].decode()}")
                click.echo(f"  key   {record_key!r}\n  value {value!r}\n")
                shown += 1
                wanted.discard(origin)
            if origins and not wanted:
                return
    if origins and wanted:
        raise UserError(f"{', '.join(sorted(wanted))}: expected in the topic {QUARANTINE.name}, not found")
    if not shown:
        click.echo("nothing is quarantined")
