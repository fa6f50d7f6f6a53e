"""Whether the workers' pages can be served."""

import socket

from contracts.errors import UserError
from contracts.settings import Settings


def require_ports(settings: Settings) -> None:
    """Raise `UserError` unless every worker's port is free; with port 0 each takes a free one."""
    if not settings.web_port:
        return
    for port in range(settings.web_port, settings.web_port + settings.workers):
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((settings.web_host, port))
        except (OSError, OverflowError):
            raise UserError(
                f"setting web_port: expected {settings.workers} free ports from {settings.web_port} on "
                f"{settings.web_host}, {port} cannot be had; another `serve` may run here; "
                "--web-port has them elsewhere"
            ) from None
