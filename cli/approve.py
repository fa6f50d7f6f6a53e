"""`cardiosentry approve`."""

from pathlib import Path

import click

from cli.options import KEY_OPTION, setting_options
from contracts.settings import Settings


@click.command
@click.argument("statement", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@KEY_OPTION
@setting_options("bootstrap", "topic_prefix", "keys")
def command(settings: Settings, statement: Path, yes: bool, key: Path | None) -> None:
    """Sign STATEMENT, a file that another command kept for further signers; announce it once enough have signed.

    It is shown first: what you see is what you sign.

    \b
    Example:
      cardiosentry approve champion-2.statement.json --key bob.key --bootstrap localhost:9092
    """
    import json

    from cli.releasing import publish, read_releases, signing_key
    from contracts.errors import UserError
    from models.dsse import EnvelopeError, add_signature, encode_envelope, open_envelope, signers_of
    from models.trust import MAX_ROOT_BYTES

    try:
        with statement.open("rb") as file:
            envelope = open_envelope(file.read(MAX_ROOT_BYTES + 1), max_bytes=MAX_ROOT_BYTES)
        shown = json.dumps(json.loads(envelope.payload), indent=2)  # ASCII: nothing that a terminal acts on
    except (OSError, EnvelopeError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "something else"
        raise UserError(f"{statement}: expected a statement that waits for signers, got: {why}") from None
    log = read_releases(settings)
    known = log.trust.root.signers
    names = sorted(known[by].name for by in signers_of(envelope, log.trust.keys))
    click.echo(shown)
    click.echo(f"signed by: {', '.join(names) or 'nobody whom the trust root knows'}")
    if not yes:
        click.confirm("Sign this?", abort=True)
    signed = encode_envelope(add_signature(envelope, signing_key(settings, key)))
    click.echo(publish(settings, log, signed, f"announced {statement}", str(statement)))
