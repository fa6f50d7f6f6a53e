"""What a good address is, and which are this machine's own: what goes there, nobody overhears."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from contracts.errors import UserError


def check_address(setting: str, address: str, *, login: str, secret: bool) -> None:
    """Raise `UserError` unless a setting holds an address, with TLS where a `secret` goes to another host.

    `login` says where who we are stands in place of the address. The address is not repeated: a password may be in it.
    """
    parts = _parts(address)
    if "@" in (parts.netloc if parts else address):
        raise UserError(f"setting {setting}: expected no user or password in the address; {login}")
    if parts is None:
        raise UserError(
            f"setting {setting}: expected an address as https://host:port in ASCII, without a query; got another"
        )
    if secret and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise UserError(f"setting {setting}: expected https, since a key or password is sent to another host")


def _parts(address: str) -> SplitResult | None:
    """Return the parts of an address to which HTTP can be spoken, None for another."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # as whoever looks it up does: a part of a name may be neither empty nor too long
    except ValueError:
        return None
    plain = address.isascii() and address.isprintable() and not set(" ?#") & set(address)
    return parts if plain and parts.scheme in {"http", "https"} and host and port != 0 else None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine and no other can reach it.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "console.example")]
    [True, True, True, False, False]
    """
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
