"""`cardiosentry console`."""

import click

from cli.options import setting_options
from contracts.settings import Settings


@click.command
@setting_options(
    *("bootstrap", "topic_prefix", "keys", "store", "shadows", "false_alarm_days", "console_host", "console_port"),
    *("web_host", "metrics_port"),
)
def command(settings: Settings) -> None:
    """Serve one page: rate and latency, risks, drift beside the reference, alerts, models, quarantine.

    It reads topics and changes nothing. The key directory need hold trust-root.json alone; beyond this machine also
    console.token, which the page asks for once (or CONSOLE_TOKEN in the environment).

    \b
    Example:
      cardiosentry console --bootstrap localhost:9092 --keys keys --store store
    """
    import os
    from pathlib import Path

    from cli.console_models import ReleaseCatalogue, read_runbooks
    from cli.kafka import client_properties, require_topics
    from cli.keyfiles import read_console_token
    from contracts.access import CONSOLE
    from monitoring.console.access import Access
    from monitoring.console.run import run
    from monitoring.meters import Meters

    meters = Meters()

    def started(address: str) -> None:
        meters.serve(settings.web_host, settings.metrics_port)
        click.echo(f"console {address}")

    access = Access(read_console_token(Path(settings.keys), os.environ), settings.console_host)
    catalogue = ReleaseCatalogue(settings)
    require_topics(settings, CONSOLE.topics)
    run(
        client_properties(settings),
        settings.topic_prefix,
        catalogue,
        access,
        read_runbooks(),
        host=settings.console_host,
        port=settings.console_port,
        meters=meters,
        started=started,
    )
