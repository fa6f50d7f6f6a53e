"""Reads the settings of this process: the file that CARDIOSENTRY_CONFIG or an option names, the environment, options."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.errors import UserError
from contracts.settings import CONFIG_VARIABLE, Settings, load_settings


def read_settings(file: Path | None = None, options: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings in force; raise `UserError` that names the file, variable or option that is wrong."""
    named = file or (Path(os.environ[CONFIG_VARIABLE]) if CONFIG_VARIABLE in os.environ else None)
    text = None
    if named is not None:
        try:
            text = named.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{named}: expected a readable TOML file of settings: {error}") from None
    return load_settings(text, os.environ, options or {}, file=str(named or ""))
