"""`cardiosentry revoke`."""

from pathlib import Path

import click

from cli.options import KEY_OPTION, REASON_OPTION, setting_options
from contracts.settings import Settings


@click.command
@click.argument("digest")
@REASON_OPTION
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def command(settings: Settings, digest: str, reason: str, key: Path | None) -> None:
    """Take the bundle DIGEST away from every worker, in every role, for ever. DIGEST may be cut short.

    Workers go back to the champion before it at once; where there is none, scoring waits for a release, and nothing is
    lost.

    \b
    Example:
      cardiosentry revoke sha256:dab3 --reason "trained on leaked data" --bootstrap localhost:9092
    """
    from cli.releasing import announce, every_release, now_ms, read_releases, released_digest, signing_key
    from models.release import sign_revocation

    signer = signing_key(settings, key)
    log = read_releases(settings)
    digest = released_digest(digest, every_release(log))
    announce(settings, log, sign_revocation(digest, signer, reason=reason, now_ms=now_ms()))
    live = log.candidates("champion", now_ms=now_ms())
    click.echo(f"revoked {digest}")
    click.echo(
        f"champion {live[0].version} {live[0].digest}" if live else "no champion is left: scoring waits for a release"
    )
