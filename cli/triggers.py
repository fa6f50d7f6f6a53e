"""`cardiosentry triggers`."""

from pathlib import Path

import click

from cli.options import POLICY_OPTION, RUNS_OPTION, SOURCE_OPTION, setting_options
from contracts.errors import UserError
from contracts.settings import Settings


@click.command
@POLICY_OPTION
@SOURCE_OPTION
@RUNS_OPTION
@click.option("--since-days", type=click.FloatRange(min=0, min_open=True), help="Collect the last days  [all there is]")
@click.option(
    "--webhook",
    metavar="HOST:PORT",
    help="Listen for commits: /github and /gitlab, with the secret in the keys' webhook.secret.",
)
@click.option(
    "--look-s",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Look for reasons this often.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="PEM",
    help="A signing key that no person holds: a freeze binds no other.  [challenger-signing.key of --keys]",
)
@setting_options("bootstrap", "topic_prefix", "keys", "store", "pushgateway", "web_host", "metrics_port", "beat")
def command(
    settings: Settings,
    policy_file: Path | None,
    source: Path,
    runs: Path,
    since_days: float | None,
    webhook: str | None,
    look_s: float,
    key: Path | None,
) -> None:
    """Retrain by itself: on a timer, when outcomes came, when the model no longer fits, when code was committed.

    The policy's section [triggers] says when. Each run is one of `cardiosentry retrain` with its reason in the
    provenance; commits that come during a run begin one together after it, and a run that was interrupted goes on.
    While retraining is frozen (`cardiosentry contain freeze`) nothing begins. Runs until it is stopped.

    \b
    Example:
      cardiosentry triggers --bootstrap localhost:9092 --webhook 127.0.0.1:8088
    """
    import asyncio
    from functools import partial

    from cli.beat import beating
    from cli.passphrase import passphrase_of
    from cli.retrain import Order
    from cli.triggering import Triggers, listen, read_secret
    from models.pipeline.policy import read_policy
    from models.sign import CHALLENGER_KEY_FILE
    from monitoring.meters import Meters

    text, policy = read_policy(policy_file)
    path = key or Path(settings.keys) / CHALLENGER_KEY_FILE
    if key is None and not path.exists():
        raise UserError(
            f"{path}: expected the key that retrains unattended, found none; `cardiosentry keys generate "
            f"{settings.keys}` makes it"
        )
    order = Order(settings, text, source, runs, path, passphrase_of(path), since_days=since_days, join=False)
    meters = Meters()
    triggers = Triggers(order, policy.triggers, look_s, beating(settings.beat), meters)
    serve = None if webhook is None else partial(listen, webhook, read_secret(Path(settings.keys)), triggers)
    meters.serve(settings.web_host, settings.metrics_port)
    asyncio.run(triggers.run(serve))
