"""`cardiosentry demo`."""

import signal
import sys
import tempfile
import threading
from pathlib import Path

import click


def _known_attack(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    """Refuse an unknown name, and print the attacks for `list`."""
    if name is None:
        return None
    from cli.attacks import DEMO_ATTACKS
    from cli.tables import print_table

    if name in DEMO_ATTACKS:
        return name
    if name != "list":
        raise click.UsageError(f"--attack: expected `list` or one of {', '.join(DEMO_ATTACKS)}; got {name!r}")
    print_table(
        ("name", "rule that sees it", "MITRE ATLAS technique", "what it does"),
        [(each, attack.rule, attack.technique, attack.says) for each, attack in DEMO_ATTACKS.items()],
    )
    raise click.exceptions.Exit


@click.command
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so long [on Ctrl-C].")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=200.0, show_default=True, help="Events a second."
)
@click.option("--json", "as_json", is_flag=True, help="No live view; the last line is one JSON object.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of patients and malformed records.")
@click.option(
    "--attack",
    metavar="NAME",
    is_eager=True,
    callback=_known_attack,
    help="Attack the running system, two seconds in; `list` names the attacks.",
)
@click.option("--console/--no-console", default=True, help="Serve the console's page.")
@click.option("--console-port", type=click.IntRange(0, 65535), help="Its port [6080, or any free one].")
def command(
    seconds: float | None,
    rate: float,
    as_json: bool,
    seed: int,
    attack: str | None,
    console: bool,
    console_port: int | None,
) -> None:
    """Score patients from Kafka, live, with nothing but this machine.

    Makes keys, trains and signs a model, starts the embedded broker, a worker and the console, whose address it prints,
    replays the 920 UCI patients and goes on with synthetic ones; one record in fifty is spoilt on purpose and ends in
    quarantine. Exits with 0 only if every event sent came back, once, and an attack raised its alerts and changed
    nothing.

    \b
    Example:
      cardiosentry demo
      cardiosentry demo --seconds 20 --json | tail -1
      cardiosentry demo --attack replay
    """
    from cli.demo_run import Demo

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with tempfile.TemporaryDirectory(prefix="cardiosentry-demo-") as directory:
        demo = Demo(
            Path(directory),
            rate=rate,
            seed=seed,
            seconds=seconds,
            stopped=stopped,
            attack=attack,
            console=console,
            console_port=console_port,
        )
        good = demo.run(live=not as_json and sys.stdout.isatty())
    if as_json:
        from contracts.codec import encode

        click.echo(encode(demo.tally.summary()))
    sys.exit(0 if good else 1)
