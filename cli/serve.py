"""`cardiosentry serve`."""

import click

from cli.options import WORKER_SETTINGS, setting_options
from contracts.settings import Settings


@click.command
@setting_options(*WORKER_SETTINGS)
def command(settings: Settings) -> None:
    """Run workers that score patient events with the released champion until Ctrl-C.

    A worker that dies is started again and goes on where the last commit was; what it held is done again, once.

    \b
    Example:
      cardiosentry serve --bootstrap localhost:9092 --keys keys --store store --workers 2
      curl localhost:6066/health/ready
    """
    from cli.kafka import require_topics
    from cli.names import require_names
    from cli.ports import require_ports
    from contracts.access import WORKER
    from stream_app.logs import set_up_logging
    from stream_app.slot import slot_name
    from stream_app.supervisor import Supervisor

    set_up_logging("supervisor", settings.log_format)
    require_topics(settings, WORKER.topics)
    require_ports(settings)
    require_names(settings, {slot_name(settings, slot) for slot in range(settings.workers)})
    Supervisor(settings, lambda name: require_names(settings, {name})).run()
