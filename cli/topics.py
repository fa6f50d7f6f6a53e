"""`cardiosentry topics`."""

import sys

import click

from cli.options import setting_options
from contracts.access import PROCESSES, differences, rights
from contracts.errors import UserError
from contracts.settings import Settings
from contracts.topics import DEFAULT_PARTITIONS, MAX_RECORD_BYTES, TOPICS, Topic

EXIT_DIFFERS = 3


@click.group
def command() -> None:
    """Create the topics and say who may use them. Example: cardiosentry topics create --partitions 12"""


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
    from cli.kafka import connect

    client, found = connect(settings)
    if is_embedded(found.cluster_id):
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
    counts = {topic.topic: topic.num_partitions for topic in wanted}
    for name, future in client.create_topics(wanted).items():
        try:
            future.result()
            click.echo(f"created {name}")
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise UserError(f"topic {name}: expected to create it, the broker said: {error.str()}") from None
            there = found.topics.get(name)
            count = len(there.partitions) if there else counts[name]  # one that this user may not see is not there
            click.echo(f"exists  {name}" + (f", with {count} partitions" if count != counts[name] else ""))


@command.command
@click.option(
    "--for",
    "chosen",
    multiple=True,
    metavar="PROCESS[=PRINCIPAL]",
    help="This process alone, and as whom Kafka knows it [every one, each as User:GROUP-PROCESS]; may be repeated. "
    f"Processes: {', '.join(process.name for process in PROCESSES)}.",
)
@click.option("--apply", "applies", is_flag=True, help="Grant it on the cluster instead of printing a script.")
@click.option("--check", "checks", is_flag=True, help="Compare the cluster with it; exit code 3 if they differ.")
@setting_options("bootstrap", "topic_prefix", "group")
def acl(settings: Settings, chosen: tuple[str, ...], applies: bool, checks: bool) -> None:
    """Print what each process may do on Kafka, as a script of kafka-acls.sh calls that grant it.

    With --check the script puts the cluster right instead: it grants what is missing, and takes away what is too much.
    That is what those named by --for may do besides, and what anybody else may do on this system's topics and groups.

    \b
    Example:
      cardiosentry topics acl --for producer=User:st-mary --for outcomes=User:st-mary > acls.sh
      cardiosentry topics acl --apply --config admin.toml
    """
    from cli.acls import correction, grant, principals, read, script
    from cli.kafka import connect

    if applies and checks:
        raise click.UsageError("--apply and --check: expected one of them, got both")
    names = {"prefix": settings.topic_prefix, "group": settings.group}
    parts = [(process, user, rights(process, user, **names)) for process, user in principals(chosen, settings.group)]
    wanted = [each for _, _, acls in parts for each in acls]
    if applies:
        grant(connect(settings)[0], wanted)
        for each in dict.fromkeys(wanted):
            click.echo(f"granted: {each}")
    elif checks:
        there = read(connect(settings)[0])
        if not there:
            click.echo(
                "the cluster shows no access rights at all: none were granted, it has no authorizer, or this user may "
                "not see them",
                err=True,
            )
        found = differences(wanted, there, **names)
        if any(found):
            click.echo(correction(settings.bootstrap, found))
            sys.exit(EXIT_DIFFERS)
        click.echo(f"the cluster's access rights are as they should be: {len(set(wanted))} of them")
    else:
        click.echo(
            script(settings.bootstrap, [(f"{process.name}: {process.runs}", acls, "add") for process, _, acls in parts])
        )


def _configuration(topic: Topic, replication: int) -> dict[str, str]:
    return {
        # An acknowledged record must outlive a broker.
        "min.insync.replicas": str(min(2, replication)),
        # The broker checks the size of what it compressed itself: a small record that swells to a gigabyte stays out.
        "compression.type": "lz4",
        "cleanup.policy": "delete",
        "retention.ms": str(topic.retention_ms),
        "message.timestamp.type": "LogAppendTime" if topic.broker_time else "CreateTime",
        "max.message.bytes": str(MAX_RECORD_BYTES),
    }
