"""Something faulty between a client and an S3 server: it passes everything on, or spoils the answers."""

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Client:
    """The client's end of a connection; counts what it was sent."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.sent_bytes = 0
        self.gone = threading.Event()

    def send(self, content: bytes) -> None:
        self._connection.sendall(content)
        self.sent_bytes += len(content)

    def read_request(self) -> bytes:
        """Return the head of a request and its body, if it has one."""
        return _read_message(self._connection)

    def wait(self, seconds: float) -> None:
        self.gone.wait(seconds)


Fault = Callable[[Client, bytes, bytes], None]
"""Answers a client; it is given the head, with its empty line, and the body that the server would have sent."""


class FaultyProxy:
    """Listens on a port of its own for the server on `target`; `fault` is what befalls every answer, if it is set.

    With `tls` it speaks TLS to clients.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self.fault: Fault | None = None
        self.clients: list[Client] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # close alone would not wake the thread that accepts
        self._listener.close()
        for client in self.clients:
            client.gone.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        if self._tls:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:  # the client does not trust us
                return
        client = Client(connection)
        self.clients.append(client)
        with contextlib.suppress(OSError), connection, socket.create_connection(("127.0.0.1", self._target)) as server:
            while request := client.read_request():
                server.sendall(request)
                head, separator, body = _read_message(server).partition(b"\r\n\r\n")
                if self.fault is None:
                    client.send(head + separator + body)
                else:
                    self.fault(client, head + separator, body)
                    return


def _read_message(connection: socket.socket) -> bytes:
    """Return one HTTP message whole, by its Content-Length; empty at the end of the connection."""
    content = b""
    while b"\r\n\r\n" not in content:
        part = connection.recv(65536)
        if not part:
            return b""
        content += part
    head, separator, _ = content.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    whole = len(head) + len(separator) + (int(length[1]) if length else 0)
    while len(content) < whole:
        part = connection.recv(65536)
        if not part:
            return b""
        content += part
    return content


def cut(client: Client, head: bytes, body: bytes) -> None:
    """Send half of the body, then close."""
    client.send(head + body[: len(body) // 2])


def endless(status: bytes) -> Fault:
    """Return a fault that answers with `status` and a body without end."""

    def answer(client: Client, head: bytes, body: bytes) -> None:
        client.send(b"HTTP/1.1 " + status + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            client.send(b"10000\r\n" + bytes(65536) + b"\r\n")

    return answer
