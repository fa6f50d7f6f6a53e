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
    from producers.sign import Signer
    from producers.sources import Source


def _known_attack(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    """Refuse an unknown name, and print the attacks for `list`, before anything else is asked for."""
    if name is None:
        return None
    from cli.tables import print_table
    from producers.attacks.catalogue import ATTACKS

    if name in ATTACKS:
        return name
    if name != "list":
        raise click.UsageError(f"--attack: expected `list` or one of {', '.join(ATTACKS)}; got {name!r}")
    print_table(
        ("name", "share", "MITRE ATLAS technique", "what it does"),
        [(attack.name, f"{attack.share:g}", " ".join(attack.technique), attack.says) for attack in ATTACKS.values()],
    )
    raise click.exceptions.Exit


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
@click.option(
    "--attack",
    metavar="NAME",
    is_eager=True,
    callback=_known_attack,
    help="Attack the stream, to rehearse an incident; `list` names the attacks.",
)
@click.option(
    "--attack-after",
    type=click.IntRange(0),
    default=500,
    show_default=True,
    metavar="EVENTS",
    help="Let so many events pass first.",
)
@click.option("--attack-share", type=click.FloatRange(0, 1, min_open=True), help="How much of it [as `list` says].")
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
    attack: str | None,
    attack_after: int,
    attack_share: float | None,
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
      cardiosentry produce synthetic --rate 100 --limit 3000 --attack replay
      cardiosentry produce csv --file visits.csv --mapping visits.toml

    An attack goes only against a system that you own: it is signed by your keys and scored by your workers.
    """
    from producers.attacks.catalogue import ATTACKS
    from producers.malformed import WithMalformed
    from producers.pacing import Pace
    from producers.publish import Publisher
    from producers.run import run
    from producers.sign import Signer
    from stream_app.configuration import read_keyring

    seed = secrets.randbits(32) if seed is None else seed
    made = _source(source, settings, seed, outcome_delay, file, mapping)
    keyring = read_keyring(Path(settings.keys), required=True) if sign else None
    signer = Signer(keyring) if keyring else None
    if malformed:
        made = WithMalformed(made, fraction=malformed, seed=seed, signer=signer)
    if attack:
        made = _attacked(made, attack, attack_after, attack_share, seed, signer, outcomes=outcome_delay is not None)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    progress = _Progress(attack)
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
        if attack:
            none = "" if progress.attacked else f"; it begins after {attack_after} events"
            click.echo(f"attack {attack}: {ATTACKS[attack].deed} {progress.attacked} records{none}", err=True)


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


def _attacked(
    clean: "Source",
    name: str,
    after: int,
    share: float | None,
    seed: int,
    signer: "Signer | None",
    *,
    outcomes: bool,
) -> "Source":
    from contracts.topics import EVENTS
    from producers.attacks.catalogue import ATTACKS
    from producers.attacks.source import WithAttack

    attack = ATTACKS[name]
    if EVENTS not in attack.topics and not outcomes:
        raise click.UsageError(f"--attack {name}: expected --outcome-delay too, for it works on outcomes")
    try:
        return WithAttack(clean, attack, after=after, share=share, seed=seed, signer=signer)
    except ValueError as error:
        raise click.UsageError(f"--attack {name}: {error}") from None


class _Progress:
    """Says on standard error, once a second, how many records were sent, and when the attack begins."""

    def __init__(self, attack: str | None) -> None:
        self._attack = attack
        self.attacked = 0
        self._next = time.monotonic() + 1
        self._last = 0
        self.waiting = 0

    def __call__(self, progress: "Progress") -> None:
        now, sent, self.waiting = time.monotonic(), progress.sent, progress.waiting
        if progress.attacked and not self.attacked:
            click.echo(f"attack {self._attack} begins", err=True)
        self.attacked = progress.attacked
        if now >= self._next:
            click.echo(f"sent {sent} records, {sent - self._last} in the last second", err=True)
            self._next, self._last = now + 1, sent
