"""Times as they are sent: epoch milliseconds, and the text of the same that ECS wants."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

LATEST_MS = 253402300799000
"""The last second of the year 9999; later ones have no text."""

Time = Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]
"""Epoch milliseconds."""


def time_text(at_ms: int) -> str:
    """Return epoch milliseconds in UTC as ISO 8601: 2026-11-22T10:00:00.000Z."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
