"""`cardiosentry retrain`."""

import sys
from pathlib import Path

import click

from cli.options import KEY_OPTION, POLICY_OPTION, setting_options
from contracts.settings import Settings

EXIT_REFUSED = 3
"""A gate said no."""


@click.command
@POLICY_OPTION
@click.option("--print-policy", is_flag=True, help="Print the policy that comes with it, every line explained.")
@click.option("--since-days", type=click.FloatRange(min=0, min_open=True), help="Collect the last days  [all there is]")
@click.option(
    "--from-csv", "csv", type=click.Path(path_type=Path), metavar="DIR", help="Collect a signed CSV file instead."
)
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default="here",
    help="Directory of code, locks and notebooks for the scanners.",
)
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs lie."
)
@click.option("--resume", metavar="RUN", help="Go on with a run; `last` is the last one.")
@click.option("--again", metavar="STEP", help="With --resume: do this step again, and all after it.")
@click.option("--dry-run", is_flag=True, help="Name every step and what it would do.")
@click.option("--json", "as_json", is_flag=True, help="Print the account of the run as JSON, no table.")
@click.option("--why", default="by hand", show_default=True, help="What the provenance says of the reason.")
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys", "store")
def command(
    settings: Settings,
    policy_file: Path | None,
    print_policy: bool,
    since_days: float | None,
    csv: Path | None,
    source: Path,
    runs: Path,
    resume: str | None,
    again: str | None,
    dry_run: bool,
    as_json: bool,
    why: str,
    key: Path | None,
) -> None:
    """Make a better model from live outcomes: collect, gate, train, evaluate, attack, gate, sign, store, release.

    Each step leaves signed evidence in the run's directory, with report.html and report.json. Exits with 0 when the
    challenger is released, with 3 when a gate said no, with 1 when something is broken: `--resume last` goes on then.

    \b
    Example:
      cardiosentry retrain --since-days 30 --bootstrap localhost:9092
    """
    from contracts.releases import DAY_MS
    from models.pipeline.policy import default_text, read_policy

    if print_policy:
        click.echo(default_text(), nl=False)
        return
    text, policy = read_policy(policy_file)

    from cli.passphrase import passphrase_of
    from cli.releasing import now_ms
    from cli.retraining import Retraining
    from cli.retraining_view import View
    from models.pipeline import run as pipeline
    from models.pipeline.report import to_html, to_json
    from models.sign import PRIVATE_KEY_FILE

    path = key or Path(settings.keys) / PRIVATE_KEY_FILE
    since_ms = None if since_days is None else now_ms() - round(since_days * DAY_MS)
    view = View(as_json or dry_run)
    retraining = Retraining(settings, policy, source, path, None, csv, since_ms, view.progress)
    steps = retraining.steps()
    if dry_run:
        for step in steps:
            click.echo(f"{step.name:10} {step.does}")
        return
    trigger = pipeline.Trigger("hand", why, pipeline.now())
    with pipeline.alone(runs) as free:
        if not free:
            click.echo(f"joined the run that is under way: {pipeline.join(runs, trigger)}")
            return
        from models.keyfile import KeyFile

        retraining.passphrase = passphrase_of(path)
        identity = pipeline.interrupted(runs) if resume == "last" else resume
        workspace = pipeline.open_run(
            runs, text.encode(), trigger, KeyFile.load(path, retraining.passphrase), resume=identity
        )
        if again is not None:
            pipeline.forget(workspace, steps, again)
        with view.over(workspace.run.id, [step.name for step in steps]):
            passed = pipeline.execute(workspace, steps, view.listen)
        account = to_json(workspace, passed=passed)
        pipeline.write_whole(workspace.path / "report.json", account)
        pipeline.write_whole(workspace.path / "report.html", to_html(workspace, text, passed=passed).encode())
        view.end(workspace, account, passed=passed)
    sys.exit(0 if passed else EXIT_REFUSED)
