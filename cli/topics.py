"""`cardiosentry topics`."""

import click

from cli.options import setting_options
from contracts.errors import UserError
from contracts.settings import Settings
from contracts.topics import DEFAULT_PARTITIONS, MAX_RECORD_BYTES, TOPICS, Topic


@click.group
def command() -> None:
    """Create the topics. Example: cardiosentry topics create --partitions 12"""


@command.command
@click.option(
    "--partitions",
    type=click.IntRange(1),
    default=DEFAULT_PARTITIONS,
    show_default=True,
    help="Of the topics that scale; it bounds how many workers share the load.",
)
@click.option("--replication", type=click.IntRange(1), default=1, show_default=True, help="3 in production.")
@setting_options("bootstrap", "topic_prefix")
def create(settings: Settings, partitions: int, replication: int) -> None:
    """Create what is missing of the topics, with their retention.

    \b
    Example:
      cardiosentry topics create --bootstrap localhost:9092 --partitions 12 --replication 3
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.cimpl import NewTopic

    from cli.embedded import is_embedded
    from cli.kafka import admin, cluster

    client = admin(settings)
    if is_embedded(cluster(client, settings).cluster_id):
        click.echo("nothing to do: the embedded broker makes topics on first use")
        return
    wanted = [
        NewTopic(
            settings.topic_prefix + topic.name,
            topic.partitions or partitions,
            replication,
            config=_configuration(topic, replication),
        )
        for topic in TOPICS
    ]
    for name, future in client.create_topics(wanted).items():
        try:
            future.result()
            click.echo(f"created {name}")
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise UserError(f"topic {name}: expected to create it, the broker said: {error.str()}") from None
            click.echo(f"exists  {name}")


def _configuration(topic: Topic, replication: int) -> dict[str, str]:
    return {
        # An acknowledged record must outlive a broker.
        "min.insync.replicas": str(min(2, replication)),
        # The broker checks the size of what it compressed itself: a small record that swells to a gigabyte stays out.
        "compression.type": "lz4",
        "cleanup.policy": "delete",
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(MAX_RECORD_BYTES),
    }
