"""Reads what a process is told: its settings (a file, the environment, options) and its keyring."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.errors import UserError
from contracts.mac import KEYRING_FILE, Keyring
from contracts.settings import CONFIG_VARIABLE, Settings, load_settings, with_password


def read_settings(file: Path | None = None, options: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings in force; raise `UserError` that names the file, variable or option that is wrong."""
    named = file or (Path(os.environ[CONFIG_VARIABLE]) if CONFIG_VARIABLE in os.environ else None)
    text = None
    if named is not None:
        try:
            text = named.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{named}: expected a readable TOML file of settings: {error}") from None
    settings = load_settings(text, os.environ, options or {}, file=str(named or ""))
    return (
        with_password(settings, _read_password(settings.sasl_password_file))
        if settings.sasl_password_file
        else settings
    )


def _read_password(file: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: expected a readable file with a password, got {type(error).__name__}") from None


def read_keyring(directory: Path, *, required: bool) -> Keyring:
    """Read the keyring of a key directory; a missing one is fine only where `required` is false."""
    path = directory / KEYRING_FILE
    try:
        text = path.read_text()
    except FileNotFoundError:
        if not required:
            return Keyring({})
        raise UserError(
            f"{path}: expected the keyring of the sources; make one with `cardiosentry keys generate`, or set "
            "require_mac to false to score records without a MAC"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a readable keyring: {type(error).__name__}") from None
    return Keyring.from_toml(text, origin=str(path))
