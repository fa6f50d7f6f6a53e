"""Which addresses are this machine's own: what goes there, nobody overhears."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine and no other can reach it.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "console.example")]
    [True, True, True, False, False]
    """
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
