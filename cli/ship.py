"""`cardiosentry ship`."""

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import setting_options
from contracts.errors import UserError
from contracts.settings import Settings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from monitoring.elastic.bulk import Document

_SETTINGS = ("elastic", "elastic_ca", "topic_prefix", "log_format")


@click.group(invoke_without_command=True)
@click.option("--setup", is_flag=True, help="Make policies and templates in Elasticsearch, and end.")
@click.option("--without-ilm", is_flag=True, help="With --setup: go on where the server cannot delete old indices.")
@click.option(
    "--keep",
    multiple=True,
    metavar="STREAM=DAYS",
    help="With --setup: how long it keeps a stream, e.g. predictions=90.",
)
@setting_options("bootstrap", *_SETTINGS, "group", "keys", "web_host", "metrics_port", "beat")
def command(settings: Settings, setup: bool, without_ilm: bool, keep: tuple[str, ...]) -> None:
    """Ship predictions, alerts, quarantine and the audit trail to Elasticsearch until Ctrl-C, every record once.

    The key stands in ELASTIC_API_KEY, or in a file that ELASTIC_API_KEY_FILE names (docs/shipping.md).

    \b
    Example:
      cardiosentry ship --setup --elastic https://elastic:9200
      cardiosentry ship --bootstrap localhost:9092 --elastic https://elastic:9200 --keys keys
    """
    context = click.get_current_context()
    if context.invoked_subcommand:
        return
    if setup:
        _set_up(settings, ilm=not without_ilm, keep=keep)
        return
    if keep or without_ilm:
        raise click.UsageError("--keep and --without-ilm: expected --setup with them")
    _ship(settings)


@command.command
@click.argument("files", nargs=-1, required=True, type=click.File("rb"), metavar="FILE...")
@setting_options(*_SETTINGS)
def logs(settings: Settings, files: tuple[BufferedReader, ...]) -> None:
    """Ship what processes logged with `--log-format ecs`, from files, or from standard input as "-".

    A line that was shipped before changes nothing, so files may be shipped again as they grow. What comes by a pipe is
    shipped within seconds.

    \b
    Example:
      cardiosentry ship logs serve.log
    """
    from monitoring.elastic.arriving import arriving
    from monitoring.elastic.files import log_documents
    from monitoring.elastic.streams import Names

    names = Names(settings.topic_prefix)
    left_out = 0

    def parts() -> "Iterator[list[Document]]":
        nonlocal left_out
        for lines in arriving(files, _AT_ONCE, _WITHIN_S):
            made = [document for document in log_documents(lines, names) if document is not None]
            left_out += len(lines) - len(made)
            yield made

    _ship_documents(settings, parts(), "lines")
    if left_out:
        click.echo(f"left out {left_out} lines that are not of a log in ECS JSON", err=True)


@command.command
@click.argument("runs", type=click.Path(path_type=Path), default=Path("runs"))
@setting_options(*_SETTINGS)
def gates(settings: Settings, runs: Path) -> None:
    """Ship what every gate found: each report.json below RUNS, where `retrain` left them.

    A report that was shipped before changes nothing, so this may be called again and again.

    \b
    Example:
      cardiosentry ship gates runs
    """
    from monitoring.elastic.files import gate_documents
    from monitoring.elastic.streams import Names

    if not runs.is_dir():
        raise UserError(f"{runs}: expected the directory of the runs of `retrain`, found none")
    reports = sorted(runs.glob("*/report.json"))
    if not reports:  # called by a timer, before the first run ended
        click.echo(f"{runs}: no run in it has ended yet", err=True)
    names = Names(settings.topic_prefix)
    parts = (list(gate_documents(file.read_bytes(), str(file), names)) for file in reports)
    _ship_documents(settings, parts, "checks")


def _ship(settings: Settings) -> None:
    from cli.beat import beating
    from cli.kafka import client_properties, require_topics
    from cli.shipping import new_judge, topic_identities
    from contracts.access import SHIPPER
    from monitoring.elastic.shipper import Shipper
    from monitoring.meters import Meters

    client = _connect(settings)
    new_judge(settings)  # a missing trust root is told before anything begins
    require_topics(settings, SHIPPER.topics)
    meters = Meters()
    shipper = Shipper(
        client,
        client_properties(settings),
        prefix=settings.topic_prefix,
        group=settings.group,
        identities=lambda: topic_identities(settings),
        new_judge=lambda: new_judge(settings),
        meters=meters,
        beat=beating(settings.beat),
    )
    meters.serve(settings.web_host, settings.metrics_port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: shipper.stop.set())
    shipper.run()


def _set_up(settings: Settings, *, ilm: bool, keep: Iterable[str]) -> None:
    from monitoring.elastic.setup import set_up
    from monitoring.elastic.streams import STREAMS, Names

    keep_days = {}
    for text in keep:
        stream, _, days = text.partition("=")
        if stream not in {each.name for each in STREAMS} or not days.isdecimal() or int(days) < 1:
            known = ", ".join(each.name for each in STREAMS)
            raise click.UsageError(f"--keep: expected STREAM=DAYS, a stream of {known} and days from 1 on")
        keep_days[stream] = int(days)
    for done in set_up(_connect(settings), Names(settings.topic_prefix), ilm=ilm, keep_days=keep_days):
        click.echo(f"{done.what}: {done.became}")


def _ship_documents(settings: Settings, parts: "Iterable[Sequence[Document]]", what: str) -> None:
    """Ship documents that are in no topic, part by part, and say how many; raises `UserError` if some were refused."""
    import threading

    from elasticsearch import ApiError, TransportError

    from monitoring.elastic.bulk import Bulk
    from monitoring.elastic.client import explained
    from monitoring.elastic.setup import require_setup
    from monitoring.elastic.streams import Names

    client = _connect(settings)
    try:
        require_setup(client, Names(settings.topic_prefix))
    except (ApiError, TransportError) as error:
        raise explained(error) from None
    bulk = Bulk(client, threading.Event())
    shipped, refused = 0, []
    for part in parts:
        refused += bulk.send(part)
        shipped += len(part)
    click.echo(f"shipped {shipped - len(refused)} {what}")
    if refused:
        raise UserError(f"Elasticsearch: expected it to take every one, it refused {len(refused)}: {refused[0].detail}")


def _connect(settings: Settings) -> "Elasticsearch":
    from monitoring.elastic.client import connect
    from stream_app.logs import set_up_logging

    set_up_logging("shipper", settings.log_format)
    return connect(settings.elastic, settings.elastic_ca, os.environ)


_AT_ONCE = 500
_WITHIN_S = 2.0
