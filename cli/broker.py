"""`cardiosentry broker`."""

import signal
import threading

import click


@click.command
def command() -> None:
    """Run the embedded broker (librdkafka's mock cluster) until Ctrl-C and print its address.

    For trying out: records live in memory, topics appear on first use with 4 partitions.

    \b
    Example:
      cardiosentry broker
      cardiosentry serve --bootstrap ADDRESS --no-require-mac
    """
    from cli.embedded import EmbeddedBroker

    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    with EmbeddedBroker() as broker:
        click.echo(broker.address)
        click.echo("embedded broker is running; stop it with Ctrl-C", err=True)
        try:
            done.wait()
        except KeyboardInterrupt:
            click.echo("embedded broker stopped", err=True)
