"""`cardiosentry kibana`."""

import os

import click

from cli.options import setting_options
from contracts.errors import UserError
from contracts.settings import Settings


@click.group
def command() -> None:
    """Bring the dashboard and detection rules into Kibana.

    Example: cardiosentry kibana import --kibana https://kibana:5601
    """


@command.command(name="import")
@click.option("--space", default="", metavar="ID", help="The space of Kibana's that they go to [the default one].")
@click.option("--no-rules", is_flag=True, help="Leave out the detection rules: for a Kibana without Elastic Security.")
@setting_options("kibana", "kibana_ca", "topic_prefix")
def import_all(settings: Settings, space: str, no_rules: bool) -> None:
    """Import data views, searches, the dashboard and a detection rule for each of our rules.

    It may be run again at any time. Who we are stands in ELASTIC_API_KEY or a file that ELASTIC_API_KEY_FILE names
    (docs/kibana.md).

    \b
    Example:
      cardiosentry kibana import --kibana https://kibana:5601 --space hospital
    """
    import re

    from monitoring.elastic.streams import Names
    from monitoring.kibana.client import Kibana
    from monitoring.kibana.importing import import_rules, import_saved_objects
    from monitoring.kibana.package import DETECTION_RULES, SAVED_OBJECTS, packaged

    if not re.fullmatch(r"[a-z0-9_-]*", space):
        raise UserError("--space: expected the id of a space, of lower-case letters, digits, '_' and '-'")
    prefix = settings.topic_prefix
    Names(prefix)  # tells of a prefix that no index can have
    kibana = Kibana(settings.kibana, settings.kibana_ca, space, os.environ)
    for done in import_saved_objects(kibana, packaged(SAVED_OBJECTS, prefix)):
        click.echo(f"{done.what}: {done.became}")
    if no_rules:
        return
    for done in import_rules(kibana, packaged(DETECTION_RULES, prefix)):
        click.echo(f"{done.what}: {done.became}")
