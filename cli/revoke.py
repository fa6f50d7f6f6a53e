"""`cardiosentry revoke`."""

from pathlib import Path

import click

from cli.options import KEY_OPTION, REASON_OPTION, setting_options
from contracts.releases import ROLES
from contracts.settings import Settings


@click.command
@click.argument("digest")
@REASON_OPTION
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def command(settings: Settings, digest: str, reason: str, key: Path | None) -> None:
    """Take the bundle DIGEST away from every worker, in every role, for ever.

    Workers go back to the champion before it at once; where there is none, scoring waits for a release, and nothing is
    lost.

    \b
    Example:
      cardiosentry revoke sha256:dab3… --reason "trained on leaked data" --bootstrap localhost:9092
    """
    from cli.releasing import announce, now_ms, read_releases, signing_key
    from contracts.errors import UserError
    from models.release import sign_revocation

    signer = signing_key(settings, key)
    log = read_releases(settings)
    known = {release.digest for role in ROLES for release in log.releases(role)}
    if digest not in known:
        raise UserError(
            f"{digest}: expected the digest of a bundle that was released; `cardiosentry models list` has them"
        )
    announce(settings, log, sign_revocation(digest, signer, reason=reason, now_ms=now_ms()))
    live = log.candidates("champion", now_ms=now_ms())
    click.echo(f"revoked {digest}")
    click.echo(
        f"champion {live[0].version} {live[0].digest}" if live else "no champion is left: scoring waits for a release"
    )
