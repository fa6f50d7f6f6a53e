"""`cardiosentry incidents`."""

from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from cli.options import KEY_OPTION, TextOf, setting_options
from contracts.incidents import NAME_CHARS, NOTE_CHARS, Act, IncidentAct, Verdict
from contracts.settings import Settings

_READ = ("bootstrap", "topic_prefix", "keys")
_ANY = "0" * 12  # until the incident is found
_NOTE = click.option(
    "--note",
    type=TextOf(NOTE_CHARS, least=0),
    default="",
    metavar="TEXT",
    help="For whoever reads it later; it is signed.",
)


@click.group
def command() -> None:
    """Review incidents: alerts of one rule about one subject, and what people did about them.

    An incident is named by its id, or the beginning of it.

    \b
    Example: cardiosentry incidents list
    To stop what happens: cardiosentry contain, revoke, rollback
    """


@command.command("list")
@click.option("--all", "every", is_flag=True, help="Closed ones too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@setting_options(*_READ)
def list_(settings: Settings, every: bool, as_json: bool) -> None:
    """List incidents that are not closed, the latest first.

    \b
    Example:
      cardiosentry incidents list --bootstrap localhost:9092
    """
    from cli.incident_log import read_incidents
    from cli.incident_view import summary
    from cli.releasing import now_ms
    from cli.tables import print_json, print_table

    rows = [summary(each, now_ms()) for each in read_incidents(settings).incidents if every or each.state != "closed"]
    if as_json:
        for row in rows:
            print_json(row)
    elif rows:
        print_table(tuple(rows[0]), [tuple(map(str, row.values())) for row in rows])
    else:
        click.echo("no incident" if every else "no open incident; --all shows closed ones")


@command.command
@click.argument("incident")
@setting_options(*_READ)
def show(settings: Settings, incident: str) -> None:
    """Show an INCIDENT: what was told, its evidence, and its runbook.

    \b
    Example:
      cardiosentry incidents show 3f9a --bootstrap localhost:9092
    """
    from cli.incident_log import read_incidents
    from cli.incident_view import show as view
    from cli.releasing import now_ms

    view(read_incidents(settings).find(incident), now_ms())


@command.command
@click.argument("incident")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@setting_options(*_READ)
def timeline(settings: Settings, incident: str, as_json: bool) -> None:
    """Show what happened around an INCIDENT: alerts, what people did, what was released, revoked or contained.

    \b
    Example:
      cardiosentry incidents timeline 3f9a --bootstrap localhost:9092
    """
    from cli.incident_log import read_incidents
    from cli.incident_view import moments
    from cli.releasing import now_ms
    from cli.tables import print_json, print_table

    log = read_incidents(settings)
    rows = moments(log.find(incident), log.releases, now_ms())
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])


@command.command
@click.argument("incident")
@_NOTE
@KEY_OPTION
@setting_options(*_READ)
def acknowledge(settings: Settings, incident: str, note: str, key: Path | None) -> None:
    """Say that somebody looks at INCIDENT.

    \b
    Example:
      cardiosentry incidents acknowledge 3f9a --bootstrap localhost:9092
    """
    _do(settings, incident, key, "acknowledge", note=note)


@command.command
@click.argument("incident")
@click.option("--to", type=TextOf(NAME_CHARS), required=True, metavar="NAME", help="Who is to look at it.")
@_NOTE
@KEY_OPTION
@setting_options(*_READ)
def assign(settings: Settings, incident: str, to: str, note: str, key: Path | None) -> None:
    """Hand INCIDENT to somebody.

    \b
    Example:
      cardiosentry incidents assign 3f9a --to "Ada" --bootstrap localhost:9092
    """
    _do(settings, incident, key, "assign", to=to, note=note)


@command.command
@click.argument("incident")
@click.argument("text", type=TextOf(NOTE_CHARS))
@KEY_OPTION
@setting_options(*_READ)
def note(settings: Settings, incident: str, text: str, key: Path | None) -> None:
    """Add a note to INCIDENT. Never a patient's name or number: it is kept for ever.

    \b
    Example:
      cardiosentry incidents note 3f9a "the ward's pump was exchanged" --bootstrap localhost:9092
    """
    _do(settings, incident, key, "note", note=text)


@command.command
@click.argument("incident")
@click.option("--verdict", type=click.Choice(get_args(Verdict)), required=True, help="What it turned out to be.")
@_NOTE
@KEY_OPTION
@setting_options(*_READ)
def close(settings: Settings, incident: str, verdict: Verdict, note: str, key: Path | None) -> None:
    """Close INCIDENT with a verdict. If its rule tells again, that is another incident.

    \b
    Example:
      cardiosentry incidents close 3f9a --verdict true-positive --note "key rotated" --bootstrap localhost:9092
    """
    _do(settings, incident, key, "close", verdict=verdict, note=note)


@command.command
@click.argument("incident")
@_NOTE
@KEY_OPTION
@setting_options(*_READ)
def reopen(settings: Settings, incident: str, note: str, key: Path | None) -> None:
    """Open a closed INCIDENT again.

    \b
    Example:
      cardiosentry incidents reopen 3f9a --note "it was not the pump" --bootstrap localhost:9092
    """
    _do(settings, incident, key, "reopen", note=note)


@command.command
@click.argument("incident")
@click.argument("file", type=click.Path(path_type=Path))
@setting_options(*_READ)
def export(settings: Settings, incident: str, file: Path) -> None:
    """Write all that is known of INCIDENT to FILE, as one page where it ends in .html, as JSON where it ends in .json.

    \b
    Example:
      cardiosentry incidents export 3f9a incident.html --bootstrap localhost:9092
    """
    from cli.incident_log import read_incidents
    from cli.incident_view import document, to_html
    from cli.releasing import now_ms

    if file.suffix not in (".html", ".json"):
        raise click.BadParameter(f"expected a file that ends in .html or .json, got {file}")
    log = read_incidents(settings)
    made: dict[str, Any] = document(log.find(incident), log.releases, now_ms())
    content = to_html(made) if file.suffix == ".html" else msgspec.json.format(msgspec.json.encode(made)).decode()
    file.write_text(content + "\n", "utf-8")
    click.echo(f"wrote {file}")


def _do(settings: Settings, incident: str, key: Path | None, act: Act, **about: Any) -> None:
    from cli.incident_log import act as sign_and_write

    try:
        done = IncidentAct(incident=_ANY, act=act, created_at=0, **about)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    sign_and_write(settings, incident, key, done)
