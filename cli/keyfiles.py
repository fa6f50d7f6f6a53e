"""The files of a key directory that no other room makes, and all of them together."""

import getpass
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from contracts.errors import UserError
from contracts.identifiers import PSEUDONYM_KEY_FILE
from contracts.mac import KEYRING_FILE, SECRET_BYTES, Keyring
from models.files import create

CONSOLE_FILE = "console.token"


def generate_keys(
    directory: Path,
    sources: Sequence[str],
    rotate: Sequence[str] = (),
    *,
    signer: str = "",
    passphrase: bytes | None = None,
) -> Iterator[tuple[str, bool]]:
    """Make what is missing in `directory`; yield what each thing is, and whether it was made now.

    The keyring gets a key for each of `sources` that no key covers yet, and a newer one for each of `rotate`. `signer`
    is the name of the person who holds the signing key, by default the one who is logged in; `passphrase` encrypts it.
    Beside it stands a key that no person holds, which signs what is retrained unattended.
    """
    from contracts.heart_disease import HEART_DISEASE
    from models import roots, sealing, sign
    from models.keyfile import KeyFile
    from models.pipeline import sealed
    from stream_app import quarantine

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield from _make(directory / sign.PRIVATE_KEY_FILE, lambda: sign.generate_signing_key(directory, passphrase))
        # Not encrypted: what uses it runs unattended, and would have the passphrase beside it.
        unattended = directory / sign.CHALLENGER_KEY_FILE
        unknown = (directory / roots.ROOT_FILE).exists() and not unattended.exists()
        yield from _make(
            unattended,
            lambda: sign.generate_signing_key(
                directory, private_file=sign.CHALLENGER_KEY_FILE, public_file=sign.CHALLENGER_PUBLIC_FILE
            ),
        )
        if unknown:
            to = " ".join(f"--role {role}" for role in roots.RETRAINING_ROLES)
            of = f"{roots.RETRAINING} --public-key {directory / sign.CHALLENGER_PUBLIC_FILE}"
            add = f"cardiosentry trust add {of} {to} --unattended"
            yield f"{directory / roots.ROOT_FILE}, which does not know {unattended.name} yet: `{add}`", False
        else:
            yield from _make(
                directory / roots.ROOT_FILE,
                lambda: roots.write_first_root(
                    directory,
                    KeyFile.load(directory / sign.PRIVATE_KEY_FILE, passphrase),
                    signer or getpass.getuser(),
                    HEART_DISEASE,
                    KeyFile.load(unattended).public_key,
                ),
            )
        for private, public in (
            (quarantine.PRIVATE_KEY_FILE, quarantine.PUBLIC_KEY_FILE),
            (sealed.PRIVATE_KEY_FILE, sealed.PUBLIC_KEY_FILE),
        ):
            yield from _make(directory / private, partial(sealing.generate_keys, directory, private, public))
        yield from _add_source_keys(directory / KEYRING_FILE, sources, rotate)
        pseudonym_key = directory / PSEUDONYM_KEY_FILE
        yield from _make(
            pseudonym_key, lambda: create(pseudonym_key, f"{secrets.token_hex(32)}\n".encode(), mode=0o600)
        )
        token = directory / CONSOLE_FILE
        yield from _make(token, lambda: create(token, f"{secrets.token_hex(32)}\n".encode(), mode=0o600))
    except OSError as error:
        raise UserError(f"{directory}: expected a directory that can be written: {error.strerror}") from None


def _make(path: Path, make: Callable[[], object]) -> Iterator[tuple[str, bool]]:
    if path.exists():
        yield str(path), False
    else:
        make()
        yield str(path), True


def _add_source_keys(path: Path, sources: Sequence[str], rotate: Sequence[str]) -> Iterator[tuple[str, bool]]:
    if not path.exists():
        create(path, _KEYRING_HEAD.encode(), mode=0o600)
    keyring = Keyring.from_toml(path.read_text(), origin=str(path))
    for source in sources:
        if keyring.covers(source):
            yield f"{path}: the key of {source}", False
        else:
            _append_key(path, source)
            yield f"{path}: a key for {source}", True
    for source in rotate:
        if not keyring.covers(source):
            raise UserError(f"{path}: expected a key of {source} to rotate, found none; add it with --source")
        _append_key(path, source)
        yield f"{path}: a newer key for {source}", True


_KEYRING_HEAD = """\
# The keys of the sources. A key speaks for its sources and everything below them; a producer signs with the last that
# covers its source. To rotate: `keys generate DIR --rotate SOURCE`, give the file to the workers and restart them, give
# the new key to the producers, then delete the old one here.
"""


def _append_key(path: Path, source: str) -> None:
    key_id = f"{source.replace('/', '-')}-{secrets.token_hex(4)}"
    secret = secrets.token_hex(SECRET_BYTES)
    with path.open("a") as file:
        file.write(f'\n[{key_id}]\nsecret = "{secret}"\nsources = ["{source}"]\n')


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


def read_console_token(directory: Path, environ: Mapping[str, str]) -> str | None:
    """Return CONSOLE_TOKEN, or else what stands in the directory's file; None where there is neither."""
    if "CONSOLE_TOKEN" in environ:
        return environ["CONSOLE_TOKEN"].strip()
    path = directory / CONSOLE_FILE
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path}: expected a readable token of `keys generate`") from None
