"""Local ports for servers that this process starts."""

import random
import socket
from itertools import cycle

# Ports come from below Linux's ephemeral range (32768 upwards): a client that keeps calling a stopped broker's port
# from that range may be given the same port for its own end, connect to itself and keep the broker from coming back.
_PORTS = range(20000, 32000)

_START = random.randrange(len(_PORTS))  # another process begins elsewhere
_TURN = cycle([*_PORTS[_START:], *_PORTS[:_START]])


def free_ports(count: int) -> list[int]:
    """Return ports in a row that nobody is bound to.

    Nobody else of this process gets them, until 12,000 ports later: who asks may listen on them much later, too.
    """
    found: list[int] = []
    for _ in _PORTS:
        port = next(_TURN)
        if found and port != found[-1] + 1:
            found = []
        found = [*found, port] if _is_free(port) else []
        if len(found) == count:
            return found
    raise RuntimeError(f"expected {count} free ports in a row from {_PORTS.start} to {_PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
