"""The files of a key directory that no other room makes, and all of them together."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from contracts.errors import UserError
from contracts.identifiers import PSEUDONYM_KEY_FILE
from contracts.mac import KEYRING_FILE, SECRET_BYTES


def generate_keys(directory: Path, sources: Sequence[str]) -> Iterator[tuple[Path, bool]]:
    """Make what is missing in `directory`; yield each private or secret file and whether it was made now."""
    from models import sign
    from stream_app import quarantine

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield from _make(directory / sign.PRIVATE_KEY_FILE, lambda: sign.generate_signing_key(directory))
        yield from _make(directory / quarantine.PRIVATE_KEY_FILE, lambda: quarantine.generate_reviewer_keys(directory))
        keyring, pseudonym_key = directory / KEYRING_FILE, directory / PSEUDONYM_KEY_FILE
        yield from _make(keyring, lambda: _write_secret(keyring, _keyring(sources)))
        yield from _make(pseudonym_key, lambda: _write_secret(pseudonym_key, secrets.token_hex(32) + "\n"))
    except OSError as error:
        raise UserError(f"{directory}: expected a directory that can be written: {error.strerror}") from None


def _make(path: Path, make: Callable[[], object]) -> Iterator[tuple[Path, bool]]:
    if path.exists():
        yield path, False
    else:
        make()
        yield path, True


def _keyring(sources: Sequence[str]) -> str:
    entries = []
    for source in sources:
        key_id = f"{source.replace('/', '-')}-{secrets.token_hex(4)}"
        secret = secrets.token_hex(SECRET_BYTES)
        entries.append(f'[{key_id}]\nsecret = "{secret}"\nsources = ["{source}"]\n')
    return (
        "# The keys of the sources. A key speaks for its sources and everything below them.\n"
        "# To rotate: add a new key below the old one, move the producers to it, then remove the old one.\n\n"
        + "\n".join(entries)
    )


def _write_secret(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def read_pseudonym_key(directory: Path) -> bytes:
    """Read the pseudonym key (64 hex digits); raise `UserError` that names the file."""
    path = directory / PSEUDONYM_KEY_FILE
    try:
        key = bytes.fromhex(path.read_text().strip())
    except OSError as error:
        raise UserError(f"{path}: expected the pseudonym key of `keys generate`: {error.strerror}") from None
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UserError(f"{path}: expected 64 hex digits, got something else")
    return key
