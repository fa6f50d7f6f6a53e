"""`cardiosentry rollback`."""

from pathlib import Path

import click

from cli.options import DAYS_OPTION, KEY_OPTION, REASON_OPTION, setting_options
from contracts.errors import UserError
from contracts.releases import ROLES, Role
from contracts.settings import Settings


@click.command
@click.option("--role", type=click.Choice(ROLES), default="champion", show_default=True)
@click.option("--to", "digest", metavar="DIGEST", help="An earlier bundle of the role [the one before the live one].")
@REASON_OPTION
@DAYS_OPTION
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def command(settings: Settings, role: Role, digest: str | None, reason: str, days: int, key: Path | None) -> None:
    """Release an earlier bundle again, as the next version of its role. Twice goes back by two.

    The one that is live now comes back by a release of its own alone.

    \b
    Example:
      cardiosentry rollback --reason "false alarms on ward 7" --bootstrap localhost:9092
    """
    from cli.releasing import every_release, now_ms, pending_file, publish, read_releases, released_digest, signing_key
    from models.release import sign_rollback

    signer = signing_key(settings, key)
    log = read_releases(settings)
    wanted = None if digest is None else released_digest(digest, every_release(log))
    if wanted is None:
        live = next((release.version for release in log.candidates(role, now_ms=now_ms())), 0)
        earlier = [release for release in reversed(log.succession(role)) if release.version < live]
    else:
        earlier = [release for release in reversed(log.releases(role)) if release.digest == wanted]
    earlier = [release for release in earlier if release.digest not in log.revoked]
    if not earlier:
        what = wanted or "a bundle before the live one"
        raise UserError(
            f"role {role}: expected {what} among its releases that are not revoked, found none; `cardiosentry models "
            "list` shows them, --to takes any of them"
        )
    version = log.next_version(role)
    statement = sign_rollback(earlier[0], log, signer, reason=reason, now_ms=now_ms(), days=days)
    done = f"released {role} {version} {earlier[0].digest}, which was version {earlier[0].version}"
    click.echo(publish(settings, log, statement, done, pending_file(role, version)))
