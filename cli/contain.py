"""`cardiosentry contain`."""

from pathlib import Path

import click

from cli.options import KEY_OPTION, REASON_OPTION, setting_options
from contracts.settings import Settings


@click.group
def command() -> None:
    """Contain an incident, by signed statements that every process obeys within seconds.

    \b
    Example: cardiosentry contain freeze --reason "outcomes of ward 7 look poisoned"
    To take a model away or go back to an earlier one: cardiosentry revoke, cardiosentry rollback
    """


@command.command
@REASON_OPTION
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def freeze(settings: Settings, reason: str, key: Path | None) -> None:
    """Freeze retraining: no run begins, none ends in a release, and workers refuse what unattended keys release.

    \b
    Example:
      cardiosentry contain freeze --reason "outcomes of ward 7 look poisoned" --bootstrap localhost:9092
    """
    _announce(settings, key, reason=reason, lifted=False)


@command.command
@REASON_OPTION
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def thaw(settings: Settings, reason: str, key: Path | None) -> None:
    """Let retraining go on; takes a person's key.

    \b
    Example:
      cardiosentry contain thaw --reason "ward 7 left out of collection" --bootstrap localhost:9092
    """
    _announce(settings, key, reason=reason, lifted=True)


def _announce(settings: Settings, key: Path | None, *, reason: str, lifted: bool) -> None:
    from cli.releasing import announce, now_ms, read_releases, signing_key
    from models.release import sign_containment

    signer = signing_key(settings, key)
    log = read_releases(settings)
    if (log.in_force("freeze-retraining") is None) == lifted:
        click.echo(f"retraining is {'not ' * lifted}frozen already")
        return
    statement = sign_containment("freeze-retraining", log, signer, lifted=lifted, reason=reason, now_ms=now_ms())
    announce(settings, log, statement)
    click.echo("retraining goes on" if lifted else "retraining is frozen")
