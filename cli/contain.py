"""`cardiosentry contain`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import KEY_OPTION, REASON_OPTION, checked_source, setting_options
from contracts.errors import UserError
from contracts.identifiers import is_below
from contracts.mac import KEYRING_FILE, Keyring
from contracts.releases import EVERYTHING, Measure
from contracts.settings import Settings

if TYPE_CHECKING:
    from models.release_log import MeasureEntry, ReleaseLog


@click.group
def command() -> None:
    """Contain an incident, by signed statements that every process obeys within seconds.

    \b
    Example:
      cardiosentry contain block st-mary/icu --reason "its pump repeats itself"
    \b
    To take a model away: cardiosentry revoke; to go back to an earlier one: cardiosentry rollback
    """


def _act(function: Callable[..., None]) -> click.Command:
    """Make a command of a function of the settings, the subject, the reason and the key."""
    made: click.Command = command.command(
        REASON_OPTION(KEY_OPTION(setting_options("bootstrap", "topic_prefix", "keys")(function)))
    )
    return made


@_act
@click.argument("source")
def block(settings: Settings, source: str, reason: str, key: Path | None) -> None:
    """Send every record of SOURCE, and of all below it, to quarantine until it is unblocked.

    Meanwhile `retrain` and `baseline` learn from none of its records, also not from those of before.

    \b
    Example:
      cardiosentry contain block st-mary/icu --reason "its pump repeats itself" --bootstrap localhost:9092
    """
    _announce(settings, key, "block-source", checked_source(source), reason=reason)
    keyring = Path(settings.keys) / KEYRING_FILE
    try:
        known = not keyring.exists() or _keyring(settings).speaks_of(source)
    except UserError as error:  # the block stands all the same
        click.echo(str(error), err=True)
    else:
        if not known:
            click.echo(f"{keyring} has no key of {source} or anything below it: see that its name is right", err=True)


@_act
@click.argument("source")
def unblock(settings: Settings, source: str, reason: str, key: Path | None) -> None:
    """Score SOURCE again; takes a person's key. What is in quarantine stays there.

    A block of what is above SOURCE, or of what is below it, is a measure of its own and stays.

    \b
    Example:
      cardiosentry contain unblock st-mary/icu --reason "pump exchanged" --bootstrap localhost:9092
    """
    log = _announce(settings, key, "block-source", checked_source(source), reason=reason, lifted=True)
    others = [entry for entry in log.measures() if entry.statement.measure == "block-source"]
    for entry in others:
        if is_below(entry.statement.subject, (source,)):
            click.echo(f"{entry.statement.subject} stays blocked, by a measure of its own: {_who_and_why(entry)}")
    above = [entry for entry in others if is_below(source, (entry.statement.subject,))]
    if above:
        by = "; ".join(f"all of {entry.statement.subject} is blocked by {_who_and_why(entry)}" for entry in above)
        ways = ", ".join(f"`cardiosentry contain unblock {entry.statement.subject}`" for entry in above)
        raise UserError(f"{source} stays blocked: {by}; to score it again, with all beside it: {ways}")


@_act
@click.argument("key_id")
def revoke_key(settings: Settings, key_id: str, reason: str, key: Path | None) -> None:
    """Send every record by the source key KEY_ID to quarantine; its source goes on with another key.

    Meanwhile `retrain` and `baseline` learn from no record by it, also not from those of before.

    \b
    Example:
      cardiosentry contain revoke-key st-mary-icu-3fa9b210 --reason "laptop stolen" --bootstrap localhost:9092
    """
    _require_known(settings, key_id)
    _announce(settings, key, "revoke-key", key_id, reason=reason)


@_act
@click.argument("key_id")
def restore_key(settings: Settings, key_id: str, reason: str, key: Path | None) -> None:
    """Believe the source key KEY_ID again; takes a person's key.

    \b
    Example:
      cardiosentry contain restore-key st-mary-icu-3fa9b210 --reason "wrong key named" --bootstrap localhost:9092
    """
    _announce(settings, key, "revoke-key", key_id, reason=reason, lifted=True)


@_act
def freeze(settings: Settings, reason: str, key: Path | None) -> None:
    """Freeze retraining: no run begins, none ends in a release, and workers refuse what unattended keys release.

    \b
    Example:
      cardiosentry contain freeze --reason "outcomes of ward 7 look poisoned" --bootstrap localhost:9092
    """
    _announce(settings, key, "freeze-retraining", EVERYTHING, reason=reason)


@_act
def thaw(settings: Settings, reason: str, key: Path | None) -> None:
    """Let retraining go on; takes a person's key.

    \b
    Example:
      cardiosentry contain thaw --reason "ward 7 is blocked and so left out" --bootstrap localhost:9092
    """
    _announce(settings, key, "freeze-retraining", EVERYTHING, reason=reason, lifted=True)


@command.command("list")
@setting_options("bootstrap", "topic_prefix", "keys")
def list_(settings: Settings) -> None:
    """List the measures in force: what, since when, by whom and why.

    \b
    Example:
      cardiosentry contain list --bootstrap localhost:9092
    """
    from cli.releasing import read_releases
    from cli.tables import print_table, when

    rows = [
        (
            entry.statement.measure,
            entry.statement.subject,
            when(entry.at_ms),
            ", ".join(entry.signed_by),
            entry.reason,
        )
        for entry in read_releases(settings).measures()
    ]
    print_table(("measure", "of", "since", "signed by", "reason"), rows)


def _require_known(settings: Settings, key_id: str) -> None:
    """Refuse an id that the keyring beside us does not have: to revoke a mistyped one would change nothing."""
    keyring = Path(settings.keys) / KEYRING_FILE
    if not keyring.exists():
        click.echo(f"{keyring} is not here to compare with: see that {key_id} is in the workers' keyring")
    elif key_id not in _keyring(settings):
        raise UserError(
            f"{key_id}: expected the id of a key, as {keyring} names its tables, which has no such key; to stop a "
            "source whatever its key is: cardiosentry contain block SOURCE"
        )


def _keyring(settings: Settings) -> Keyring:
    from stream_app.configuration import read_keyring

    return read_keyring(Path(settings.keys), required=True)


def _announce(
    settings: Settings, key: Path | None, measure: Measure, subject: str, *, reason: str, lifted: bool = False
) -> "ReleaseLog":
    """Announce a measure or its end, unless that is so already; return the log with it."""
    from cli.releasing import announce, now_ms, read_releases, signing_key
    from models.release import sign_containment

    signer = signing_key(settings, key)
    log = read_releases(settings)
    what = measure if subject == EVERYTHING else f"{measure} {subject}"
    if (log.in_force(measure, subject) is None) == lifted:
        click.echo(f"{what}: {'not ' * lifted}in force already")
        return log
    statement = sign_containment(measure, subject, log, signer, lifted=lifted, reason=reason, now_ms=now_ms())
    announce(settings, log, statement)
    click.echo(f"{what}: {'lifted' if lifted else 'in force'}")
    return log


def _who_and_why(entry: "MeasureEntry") -> str:
    return f"{', '.join(entry.signed_by)} ({entry.reason})"
