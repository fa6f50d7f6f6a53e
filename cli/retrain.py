"""`cardiosentry retrain`."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from cli.options import KEY_OPTION, POLICY_OPTION, RUNS_OPTION, SOURCE_OPTION, setting_options
from contracts.errors import UserError
from contracts.settings import Settings
from models.pipeline.run import Trigger, now

EXIT_REFUSED = 3
"""A gate said no."""
EXIT_BUSY = 4
"""Another run is under way, and this one does not join it."""


@dataclass(frozen=True)
class Order:
    """A run that is wanted, and why: `resume` and `again` as the options of `retrain` are.

    One that does not `join` a run under way is not done then.
    """

    settings: Settings
    policy: str
    source: Path
    runs: Path
    key_path: Path
    passphrase: bytes | None = field(default=None, repr=False)
    csv: Path | None = None
    since_days: float | None = None
    triggers: tuple[Trigger, ...] = ()
    resume: str | None = None
    again: str | None = None
    as_json: bool = False
    join: bool = True

    def of(self, *triggers: Trigger, resume: str | None = None) -> "Order":
        """Return the same for these reasons."""
        return replace(self, triggers=triggers, resume=resume)


@click.command
@POLICY_OPTION
@click.option("--print-policy", is_flag=True, help="Print the policy that comes with it, every line explained.")
@click.option("--since-days", type=click.FloatRange(min=0, min_open=True), help="Collect the last days  [all there is]")
@click.option(
    "--from-csv",
    "csv",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Collect a CSV file instead, signed by `cardiosentry sign`.",
)
@SOURCE_OPTION
@RUNS_OPTION
@click.option("--resume", metavar="RUN", help="Go on with a run; `last` is the last one.")
@click.option("--again", metavar="STEP", help="With --resume: do this step again, and all after it.")
@click.option("--dry-run", is_flag=True, help="Name every step and what it would do.")
@click.option("--json", "as_json", is_flag=True, help="Print the account of the run as JSON, no table.")
@click.option("--why", default="by hand", show_default=True, help="What the provenance says of the reason.")
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys", "store", "pushgateway")
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
    from models.pipeline.policy import default_text, read_policy
    from models.sign import PRIVATE_KEY_FILE

    if print_policy:
        click.echo(default_text(), nl=False)
        return
    text, policy = read_policy(policy_file)
    path = key or Path(settings.keys) / PRIVATE_KEY_FILE
    if dry_run:
        from cli.retraining import Retraining

        for step in Retraining(settings, policy, source, path, None, csv).steps():
            click.echo(f"{step.name:10} {step.does}")
        return
    from cli.passphrase import passphrase_of

    order = Order(
        settings,
        text,
        source,
        runs,
        path,
        passphrase_of(path),
        csv,
        since_days,
        (Trigger("hand", why, now()),),
        resume,
        again,
        as_json,
    )
    sys.exit(retrain(order))


def retrain(order: Order) -> int:
    """Do what is ordered, or join the run that is under way; return the exit code. Raises `UserError`."""
    from cli.releasing import now_ms
    from cli.retraining import Retraining, check_freeze
    from cli.retraining_told import told
    from cli.retraining_view import View
    from contracts.releases import DAY_MS
    from models.keyfile import KeyFile
    from models.pipeline import run as pipeline
    from models.pipeline.policy import decode_policy
    from models.pipeline.report import to_html, to_json

    since_ms = None if order.since_days is None else now_ms() - round(order.since_days * DAY_MS)
    view = View(order.as_json)
    retraining = Retraining(
        order.settings,
        decode_policy(order.policy),
        order.source,
        order.key_path,
        order.passphrase,
        order.csv,
        since_ms,
        view.progress,
    )
    steps = retraining.steps()
    with pipeline.alone(order.runs) as free:
        if not free and not order.join:
            return EXIT_BUSY
        if not free:
            for trigger in order.triggers:
                click.echo(f"joined the run that is under way: {pipeline.join(order.runs, trigger)}")
            return 0
        check_freeze(order.settings)
        identity = pipeline.interrupted(order.runs) if order.resume == "last" else order.resume
        workspace = pipeline.open_run(
            order.runs,
            order.policy.encode(),
            order.triggers,
            KeyFile.load(order.key_path, order.passphrase),
            resume=identity,
        )
        if order.again is not None:
            pipeline.forget(workspace, steps, order.again)
        try:
            with told(order.settings, workspace) as run, view.over(workspace.run.id, [step.name for step in steps]):
                run.passed = passed = pipeline.execute(workspace, steps, view.listen)
        except KeyboardInterrupt:
            again = f"cardiosentry retrain --resume {workspace.run.id}"
            raise UserError(f"interrupted; `{again}` with the same options goes on where it was") from None
        account = to_json(workspace, passed=passed)
        pipeline.write_whole(workspace.path / "report.html", to_html(workspace, order.policy, passed=passed).encode())
        pipeline.write_whole(workspace.path / pipeline.ACCOUNT_FILE, account)
        view.end(workspace, account, passed=passed)
    return 0 if passed else EXIT_REFUSED
