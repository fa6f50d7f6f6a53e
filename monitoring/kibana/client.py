"""The connection to Kibana: its requests as its API documents them, and what its answers mean to a person."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from contracts.errors import UserError
from monitoring.addresses import check_address
from monitoring.elastic.client import KEY_REFUSED, LOGIN, check_ca, credentials

REQUEST_S = 120.0
_RIGHTS = "docs/kibana.md lists the rights"


class Kibana:
    """Kibana at `address`, in `space` (empty: the default one). Raises `UserError` for what cannot be used."""

    def __init__(self, address: str, ca: str, space: str, environ: Mapping[str, str]) -> None:
        who = credentials(environ)
        check_address("kibana", address, login=LOGIN, secret=bool(who.header))
        check_ca("kibana_ca", ca)
        self._base = address.rstrip("/") + (f"/s/{quote(space, safe='')}" if space else "")
        self._space = space
        # Kibana refuses what may come from a page in a browser: it wants this header, whatever it holds.
        self._headers = {"kbn-xsrf": "cardiosentry", "accept": "application/json"}
        if who.header:
            self._headers["authorization"] = who.header
        self._pool = urllib3.PoolManager(ca_certs=ca or None, retries=False, timeout=REQUEST_S)

    def get(self, path: str, query: Mapping[str, str | int]) -> dict[str, Any]:
        """Return what Kibana has at a path below `/api`."""
        return _object(self._asked("GET", f"{path}?{urlencode(query)}"))

    def post(self, path: str, body: dict[str, Any], *, passing: int | None = None) -> bytes:
        """Return the answer to a JSON document, empty for the status `passing`."""
        headers = {"content-type": "application/json"}
        return self._asked("POST", path, headers, body=json.dumps(body).encode(), passing=passing)

    def import_file(self, path: str, name: str, content: str) -> dict[str, Any]:
        """Give Kibana a file to import, in place of what is there, and return what it says of it."""
        fields = {"file": (name, content.encode(), "application/ndjson")}
        return _object(self._asked("POST", f"{path}?overwrite=true", fields=fields))

    def _asked(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        passing: int | None = None,
        **content: Any,
    ) -> bytes:
        url = f"{self._base}/api/{path}"
        try:
            answer = self._pool.request(
                method, url, headers={**self._headers, **(headers or {})}, redirect=False, **content
            )
        except urllib3.exceptions.SSLError:
            raise UserError(
                "setting kibana_ca: expected a CA by which Kibana's certificate holds, TLS said no"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            why = error.__cause__ or type(error).__name__
            raise UserError(f"setting kibana: expected Kibana to answer at {self._base}, got {why}") from None
        if answer.status == passing:
            return b""
        if answer.status != 200:
            raise UserError(self._refusal(answer.status, path.partition("?")[0]))
        return answer.data

    def _refusal(self, status: int, path: str) -> str:
        """Return what a status means; Kibana's own text may repeat what it was sent."""
        match status:
            case 401:
                return f"Kibana: {KEY_REFUSED}"
            case 403:
                return f"Kibana: expected a key that may call {path}, ours may not; {_RIGHTS}"
            case 404:
                space = f" and a space {self._space}" if self._space else ""
                return (
                    f"Kibana: expected {path}{space}, it knows none; is `kibana` the address of Kibana, with its path?"
                )
            case 429 | 502 | 503 | 504:
                return f"Kibana: expected it to be ready, it said {status}; try again"
        return f"Kibana: expected {path} to do what was asked, it said {status}"


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError("setting kibana: expected an answer in JSON, another server answered")
    return found
