"""`cardiosentry rescan`."""

import sys
from pathlib import Path

import click

from cli.options import POLICY_OPTION, setting_options
from contracts.settings import Settings


@click.command
@POLICY_OPTION
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default="here",
    help="Directory of code, locks and notebooks that runs now.",
)
@click.option(
    "--state",
    "told",
    type=click.Path(path_type=Path),
    default=Path("state/rescan.json"),
    show_default=True,
    help="What was found before.",
)
@setting_options("bootstrap", "topic_prefix", "keys", "store")
def command(settings: Settings, policy_file: Path | None, source: Path, told: Path) -> None:
    """Scan again what is live: the source, and the files of every model in use. Run it by a timer, once a day.

    Vulnerabilities become known after a model is released. A finding that was not there the last time is an alert on
    security-alerts. Exits with 0 if every check passed, with 3 if one did not.

    \b
    Example:
      cardiosentry rescan --bootstrap localhost:9092
    """
    from cli.rescanning import rescan
    from cli.retrain import EXIT_REFUSED
    from cli.tables import print_table
    from models.pipeline.policy import read_policy

    _, policy = read_policy(policy_file)
    report, new = rescan(settings, policy.security, source, told)
    print_table(
        ("check", "verdict", "found", "the policy wants"),
        [(check.name, check.verdict, check.found, check.limit) for check in report.checks],
    )
    for check, finding in new:
        click.echo(f"new: {check}: {finding.id} at {finding.where}: {finding.what}")
    sys.exit(0 if report.passed else EXIT_REFUSED)
