"""`cardiosentry produce`."""

import secrets
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import setting_options
from contracts.settings import Settings

if TYPE_CHECKING:
    from producers.run import Progress
    from producers.sources import Source


@click.command
@click.argument("source", type=click.Choice(["replay", "synthetic", "csv"]))
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events a second [as fast as it goes].")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many events.")
@click.option("--seed", type=click.IntRange(0), help="Make the same synthetic patients again [a new seed each time].")
@click.option("--outcome-delay", type=click.FloatRange(0), metavar="S", help="Publish diagnoses so many seconds later.")
@click.option(
    "--malformed",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    metavar="SHARE",
    help="Spoil this share of events.",
)
@click.option("--sign/--no-sign", default=True, show_default=True, help="MAC each record with its source's key.")
@click.option("--file", type=click.Path(path_type=Path), metavar="CSV", help="The file of `csv`.")
@click.option("--mapping", type=click.Path(path_type=Path), metavar="TOML", help="Which column is what, for `csv`.")
@setting_options("bootstrap", "topic_prefix", "keys")
def command(
    settings: Settings,
    source: str,
    rate: float | None,
    limit: int | None,
    seed: int | None,
    outcome_delay: float | None,
    malformed: float,
    sign: bool,
    file: Path | None,
    mapping: Path | None,
) -> None:
    """Publish patient events to Kafka: `replay` the 920 UCI patients, `synthetic` ones like them, or a `csv` file.

    Patient ids become pseudonyms under DIR/pseudonym.key. Ctrl-C stops; the last line counts what the broker confirmed.

    \b
    Example:
      cardiosentry produce replay --rate 100 --outcome-delay 5
      cardiosentry produce synthetic --rate 10000 --limit 300000 --seed 1
      cardiosentry produce csv --file visits.csv --mapping visits.toml
    """
    from producers.malformed import WithMalformed
    from producers.pacing import Pace
    from producers.publish import Publisher
    from producers.run import run
    from producers.sign import Signer
    from stream_app.configuration import read_keyring

    seed = secrets.randbits(32) if seed is None else seed
    made = _source(source, settings, seed, outcome_delay, file, mapping)
    keyring = read_keyring(Path(settings.keys), required=True) if sign else None
    if malformed:
        made = WithMalformed(made, fraction=malformed, seed=seed, signer=Signer(keyring) if keyring else None)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    progress = _Progress()
    publisher = Publisher(
        settings.bootstrap, topic_prefix=settings.topic_prefix, keyring=keyring, properties=settings.kafka
    )
    try:
        with publisher:
            run(made, publisher, Pace(rate), stop=stopped.is_set, limit=limit, on_progress=progress)
    finally:
        report = publisher.report
        click.echo(f"delivered {report.delivered} of {report.sent} records, {report.failed} failed")
        if stopped.is_set() and progress.waiting:
            click.echo(f"{progress.waiting} outcomes were not yet due and were not sent")


def _source(
    name: str, settings: Settings, seed: int, outcome_delay: float | None, file: Path | None, mapping: Path | None
) -> "Source":
    from cli.keyfiles import read_pseudonym_key
    from producers.csv_source import CsvSource
    from producers.replay import replay
    from producers.synthetic import SyntheticPatients

    if (name == "csv") != (file is not None and mapping is not None):
        raise click.UsageError("--file and --mapping: expected both with the source `csv`, and neither with another")
    key = read_pseudonym_key(Path(settings.keys))
    if name == "replay":
        return replay(pseudonym_key=key, outcome_delay_s=outcome_delay)
    if name == "synthetic":
        return SyntheticPatients(pseudonym_key=key, seed=seed, outcome_delay_s=outcome_delay)
    assert file is not None  # noqa: S101 - checked above
    assert mapping is not None  # noqa: S101
    return CsvSource(file, mapping, pseudonym_key=key, outcome_delay_s=outcome_delay)


class _Progress:
    """Says once a second on standard error how many records were sent."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 1
        self._last = 0
        self.waiting = 0

    def __call__(self, progress: "Progress") -> None:
        now, sent, self.waiting = time.monotonic(), progress.sent, progress.waiting
        if now >= self._next:
            click.echo(f"sent {sent} records, {sent - self._last} in the last second", err=True)
            self._next, self._last = now + 1, sent
