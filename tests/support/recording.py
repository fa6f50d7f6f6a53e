"""An HTTP server in place of Elasticsearch or Kibana: it keeps what it is asked and answers as a test wants.

What it always does is what Elasticsearch documents: it names itself in a header, and takes the media types of its own
major version and of the one before (https://www.elastic.co/docs/reference/elasticsearch/rest-apis/compatibility).
"""

import email.policy
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

_COMPATIBLE = re.compile(r"application/vnd\.elasticsearch\+(?:x-nd)?json; ?compatible-with=(\d+)")


class Request(NamedTuple):
    """What was asked; `body` is the JSON document, or the documents of lines of JSON.

    Of a form it is a `File` by the name of each of its fields.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class File(NamedTuple):
    """A file in a form of lines of JSON."""

    name: str
    type: str
    lines: list[Any]


Answer = Callable[[Request], tuple[int, Any]]
"""Returns status and JSON body."""


def _body(kind: str, raw: bytes) -> Any:
    if "multipart/form-data" in kind:
        form = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw, policy=email.policy.HTTP)
        return {
            str(part.get_param("name", header="content-disposition")): File(
                part.get_filename() or "", part.get_content_type(), _lines(part.get_payload(decode=True))
            )
            for part in form.iter_parts()
        }
    return _lines(raw) if "ndjson" in kind else json.loads(raw or b"null")


def _lines(raw: Any) -> list[Any]:
    return [json.loads(line) for line in raw.splitlines()]


class RecordingServer:
    """Listens on a port of its own; `answer` may be changed at any time."""

    def __init__(self, answer: Answer, *, major: int = 8) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: the second would wait 40 ms for the first one's ACK

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    return

            def do_any(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length", 0)))
                body = _body(self._type("content-type"), raw)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                outer.requests.append(request)
                status, made = self._refusal(major) or outer.answer(request)
                content = json.dumps(made).encode()
                self.send_response(status)
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Type", self._type("accept") or "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any  # noqa: N815 - names of the standard library

            def _type(self, name: str) -> str:
                return self.headers.get(name, "")

            def _refusal(self, major: int) -> tuple[int, Any] | None:
                for name in ("accept", "content-type"):
                    found = _COMPATIBLE.match(self._type(name))
                    if found and int(found[1]) not in (major, major - 1):
                        return 400, {"error": {"type": "media_type_header_exception"}, "status": 400}
                return None

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
