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
    """Release an earlier bundle again, as the next version of its role. The one that is live now may come back later.

    \b
    Example:
      cardiosentry rollback --reason "false alarms on ward 7" --bootstrap localhost:9092
    """
    from cli.releasing import every_release, now_ms, pending_file, publish, read_releases, released_digest, signing_key
    from models.release import sign_rollback

    signer = signing_key(settings, key)
    log = read_releases(settings)
    live = log.candidates(role, now_ms=now_ms())
    wanted = None if digest is None else released_digest(digest, every_release(log))
    earlier = [
        release
        for release in reversed(log.releases(role))
        if release.digest not in log.revoked
        and (release.digest == wanted if wanted else bool(live) and release.digest != live[0].digest)
    ]
    if not earlier:
        what = wanted or "a bundle before the live one"
        raise UserError(f"role {role}: expected {what} among its releases that are not revoked, found none")
    version = log.next_version(role)
    statement = sign_rollback(earlier[0], log, signer, reason=reason, now_ms=now_ms(), days=days)
    done = f"released {role} {version} {earlier[0].digest}, which was version {earlier[0].version}"
    click.echo(publish(settings, log, statement, done, pending_file(role, version)))
