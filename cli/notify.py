"""`cardiosentry notify`."""

import signal
import threading
from pathlib import Path

import click

from cli.options import NOTIFY_SETTINGS, setting_options
from contracts.errors import UserError
from contracts.settings import Settings


@click.command
@setting_options(
    "bootstrap", "topic_prefix", "group", "log_format", "web_host", "metrics_port", "beat", *NOTIFY_SETTINGS
)
def command(settings: Settings) -> None:
    """Hand the alerts of security-alerts and model-alerts to Alertmanager, which pages, until Ctrl-C.

    While workers are there and what waits for them moves, it also posts the alert Watchdog: an outside service that
    is called for each of these pages when it hears nothing more. docs/notifications.md

    \b
    Example:
      cardiosentry notify --bootstrap localhost:9092 --alertmanager http://localhost:9093
    """
    from cli.beat import beating
    from cli.kafka import client_properties, connect, require_topics
    from contracts.access import NOTIFY
    from monitoring.meters import Meters
    from monitoring.notify import Links
    from monitoring.notify_alertmanager import Alertmanager
    from monitoring.notify_loop import Notifier
    from stream_app.logs import set_up_logging

    set_up_logging("notify", settings.log_format)
    addresses = [address.strip() for address in settings.alertmanager.split(",")]
    alertmanager = Alertmanager(addresses, _login(settings.alertmanager_login))
    if settings.alert_page and not settings.alert_page.startswith(("http://", "https://")):
        raise UserError("setting alert_page: expected an address that begins with http:// or https://")
    require_topics(settings, NOTIFY.topics)
    done = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: done.set())
    meters = Meters()
    notifier = Notifier(
        client_properties(settings),
        connect(settings)[0],
        alertmanager,
        Links(settings.runbooks, settings.alert_page),
        prefix=settings.topic_prefix,
        group=settings.group,
        every_s=settings.notify_interval_s,
        meters=meters,
        beat=beating(settings.beat),
    )
    meters.serve(settings.web_host, settings.metrics_port)
    notifier.run(done)


def _login(file: str) -> str:
    if not file:
        return ""
    try:
        text = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"setting alertmanager_login: expected a readable file at {file}") from None
    if ":" not in text:
        raise UserError(f"{file}: expected one line, user:password")
    return text
