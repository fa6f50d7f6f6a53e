"""The passphrase of a signing key: from the environment, or asked for."""

import os
from pathlib import Path

import click

from contracts.errors import UserError
from models.keyfile import is_encrypted

PASSPHRASE = "MODEL_SIGNING_PASSPHRASE"  # noqa: S105 - the variable's name


def passphrase_of(path: Path) -> bytes | None:
    """Return the passphrase of the key at `path`, None for one that is not encrypted."""
    try:
        if not is_encrypted(path.read_bytes()):
            return None
    except OSError as error:
        raise UserError(f"{path}: expected a private signing key, got: {error.strerror}") from None
    return ask()


def ask(*, twice: bool = False) -> bytes:
    """Return the passphrase in the environment, or the one that is typed, `twice` for a new one."""
    given = os.environ.get(PASSPHRASE)
    typed: str = given or click.prompt("Passphrase", hide_input=True, err=True, confirmation_prompt=twice)
    return typed.encode()
