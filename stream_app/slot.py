"""A worker's slot: the name it keeps over restarts, and what becomes of it when two bear the same."""

import socket

from contracts.errors import CardioSentryError
from contracts.settings import Settings

SESSION_TIMEOUT_MS = "6000"
"""A dead worker's partitions move after this long."""

EXIT_FENCED = 69  # sysexits.h EX_UNAVAILABLE: the slot may be another's now; starting again would take it back


class Fenced(CardioSentryError):
    """The broker hears this worker no more: another has its name, or the group lost track of it."""


def slot_name(settings: Settings, slot: int) -> str:
    """Return the name that a worker keeps over restarts, in the group and as its transactional id."""
    return f"{settings.group}-{settings.instance or socket.gethostname()}-{slot}"
