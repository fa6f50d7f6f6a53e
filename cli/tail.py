"""`cardiosentry tail`."""

import json
import signal
import threading

import click
import msgspec

from cli.options import setting_options
from contracts.settings import Settings


@click.command
@click.argument("topic")
@click.option("--beginning", is_flag=True, help="From the topic's beginning instead of its end.")
@click.option("-n", "--count", type=click.IntRange(1), help="Stop after so many records.")
@setting_options("bootstrap", "topic_prefix")
def command(settings: Settings, topic: str, beginning: bool, count: int | None) -> None:
    """Print the records of TOPIC as they come, one JSON line each, committed ones alone, until Ctrl-C.

    Of quarantined records it prints reason, origin and digest; `cardiosentry quarantine show` opens them. The same of
    ship-rejects, which holds no more.

    \b
    Example:
      cardiosentry tail predictions --bootstrap localhost:9092 --beginning -n 5
    """
    from cli.kafka import client_properties
    from cli.tables import escaped
    from contracts.topics import QUARANTINE, SHIP_REJECTS
    from monitoring.reader import TopicReader, headers

    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    printed = 0
    with TopicReader(client_properties(settings), [settings.topic_prefix + topic], beginning=beginning) as reader:
        try:
            while not done.is_set() and printed != count:
                for message in reader.read(0.2, 500 if count is None else min(500, count - printed)):
                    if topic in (QUARANTINE.name, SHIP_REJECTS.name):
                        found = headers(message)
                        line = json.dumps({name: found.get(name, b"").decode("utf-8", "replace") for name in SHOWN})
                    else:
                        line = _one_line(message.value())
                    click.echo(escaped(line))
                    printed += 1
        except KeyboardInterrupt:
            pass


def _one_line(value: bytes | None) -> str:
    """Return a record as one line of JSON, or, where it is none, as a string."""
    try:
        msgspec.json.decode(value or b"null")
    except (ValueError, RecursionError):
        return json.dumps((value or b"").decode("utf-8", "replace"))
    return (value or b"null").decode()


SHOWN = ("cs-reason", "cs-detail", "cs-origin", "cs-digest", "cs-size")
