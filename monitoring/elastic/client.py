"""The connection to Elasticsearch: where it is, who we are, and what its errors mean to a person.

Who we are stands in the environment or in files, never in a setting, so that no command can show it:
ELASTIC_API_KEY, or ELASTIC_USERNAME and ELASTIC_PASSWORD; each may have _FILE behind its name and name a file.
"""

import base64
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from elastic_transport import ConnectionError as NoConnection
from elastic_transport import TransportError
from elastic_transport.client_utils import DEFAULT
from elasticsearch import (
    ApiError,
    AuthenticationException,
    AuthorizationException,
    Elasticsearch,
    SSLError,
    UnsupportedProductError,
)

from contracts.errors import UserError
from monitoring.addresses import check_address

KEY_REFUSED = (
    "expected a key or password that it takes, it refused ours; set ELASTIC_API_KEY, or ELASTIC_USERNAME and "
    "ELASTIC_PASSWORD (or a file by ELASTIC_API_KEY_FILE, ELASTIC_PASSWORD_FILE)"
)
LOGIN = "set ELASTIC_USERNAME and ELASTIC_PASSWORD"
REQUEST_S = 60.0
CONNECTIONS = 16
_PASSING = {429, 500, 502, 503, 504}


def connect(addresses: str, ca: str, environ: Mapping[str, str]) -> Elasticsearch:
    """Return a client, which has not called anybody yet; raises `UserError` for what cannot be used.

    It does not try again by itself: whoever calls knows what it may wait for.
    """
    hosts = [address.strip() for address in addresses.split(",") if address.strip()]
    who = credentials(environ)
    for host in hosts:
        check_address("elastic", host, login=LOGIN, secret=bool(who.header))
        if not urlsplit(host).port:
            raise UserError("setting elastic: expected an address as https://host:9200, got one without a port")
    if not hosts:
        raise UserError("setting elastic: expected at least one address, got none")
    check_ca("elastic_ca", ca)
    if ca and any(urlsplit(host).scheme != "https" for host in hosts):
        raise UserError("setting elastic_ca: expected addresses of https with it, got one of http in elastic")
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # what befalls a request, its caller logs
    return Elasticsearch(
        hosts,
        headers={"authorization": who.header} if who.header else {},
        ca_certs=ca or DEFAULT,
        request_timeout=REQUEST_S,
        max_retries=0,
        retry_on_timeout=False,
        connections_per_node=CONNECTIONS,
    )


def passes(error: Exception) -> bool:
    """Whether what was asked may be asked again: the server is away or has too much to do."""
    if isinstance(error, ApiError):
        return error.status_code in _PASSING
    return isinstance(error, TransportError) and not isinstance(error, SSLError)


def explained(error: Exception) -> UserError:
    """Return in one sentence what a person should know of what the client raised."""
    match error:
        case AuthenticationException():
            return UserError(f"Elasticsearch: {KEY_REFUSED}")
        case AuthorizationException():
            return UserError(
                "Elasticsearch: expected a key with the rights that docs/shipping.md lists, ours lacks one: "
                f"{_action(error)}"
            )
        case UnsupportedProductError():
            return UserError("setting elastic: expected Elasticsearch, another server answered")
        case SSLError():
            return UserError(
                "setting elastic_ca: expected a CA by which Elasticsearch's certificate holds, TLS said no"
            )
        case ApiError():
            return UserError(
                f"Elasticsearch: expected it to do what was asked, it said {error.status_code} {_type(error)}"
            )
    # The text of a connection that failed is of host, port and errno; another's may repeat a document.
    why = error.message if isinstance(error, NoConnection) else type(error).__name__
    return UserError(f"setting elastic: expected Elasticsearch to answer, got {why}")


def _type(error: ApiError) -> str:
    """Return the error's type alone: its text may repeat what a document or a header held."""
    body = error.body if isinstance(error.body, dict) else {}
    found = body.get("error")
    return str(found.get("type", "")) if isinstance(found, dict) else ""


_ACTION = re.compile(r"action \[([a-z:/_]{1,100})[\]\[]")


def _action(error: ApiError) -> str:
    """Return what our key may not do, as Elasticsearch names it."""
    found = _ACTION.search(str(error.body))
    return found[1] if found else _type(error)


class Credentials(NamedTuple):
    """Who we are, as the header `authorization` says it; empty for nobody."""

    header: str = ""

    def __repr__(self) -> str:
        return "Credentials(***)"


def credentials(environ: Mapping[str, str]) -> Credentials:
    """Read who we are; raises `UserError` for half of it, two, or what no header can hold."""
    names = ("ELASTIC_API_KEY", "ELASTIC_USERNAME", "ELASTIC_PASSWORD")
    key, user, password = (_secret(environ, name) for name in names)
    if bool(user) != bool(password) or (key and user):
        raise UserError(
            "environment: expected ELASTIC_API_KEY alone, or ELASTIC_USERNAME with ELASTIC_PASSWORD; got another choice"
        )
    if not key.isascii() or " " in key:
        raise UserError("ELASTIC_API_KEY: expected the key encoded, as Kibana shows it; got other signs than ASCII's")
    if key:
        return Credentials(f"ApiKey {key}")
    if user:
        return Credentials("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    return Credentials()


def check_ca(setting: str, ca: str) -> None:
    """Raise `UserError` unless a setting names a file, or none."""
    if ca and not Path(ca).is_file():
        raise UserError(f"setting {setting}: expected a file of certificates, {ca} is none")


def _secret(environ: Mapping[str, str], name: str) -> str:
    """Return a secret; an error says what is wrong and never what it is."""
    file = environ.get(f"{name}_FILE")
    if file is None:
        text, where = environ.get(name, ""), name
    else:
        where = f"{name}_FILE"
        try:
            text = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{where}: expected a readable file: {type(error).__name__}") from None
    if not text.isprintable():  # of two lines, with a byte-order mark, or of bytes that are no text
        raise UserError(f"{where}: expected one line of text alone, got signs that do not show")
    return text
