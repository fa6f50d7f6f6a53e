"""Who may see the page: everybody on this machine, from elsewhere whoever has the token.

Without a token the console listens on the loopback address alone. A browser is one of this machine where it names this
machine too: a page of the internet that made a name of its own point here (DNS rebinding) does not. What a proxy passes
on comes from elsewhere, whatever name it gives.
"""

import hashlib
import hmac
import time
from collections.abc import Callable

from contracts.errors import UserError
from monitoring.addresses import is_loopback

COOKIE = "cardiosentry-console"
SESSION_S = 12 * 3600
PROXIED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
"""Headers by which a proxy says that it is one."""
_LEAST = 32


class Access:
    """Decides by a request's Host header, its cookie and its Authorization header."""

    def __init__(self, token: str | None, host: str, *, now_s: Callable[[], float] = time.time) -> None:
        """Raise `UserError` for a token that can be guessed, or none where others could reach `host`."""
        if token is not None and len(token) < _LEAST:
            raise UserError(f"console token: expected {_LEAST} characters or more, got {len(token)}")
        self._local = is_loopback(host)
        if token is None and not self._local:
            raise UserError(
                f"setting console_host: expected a loopback address, got {host!r} without a token; make one by "
                "`cardiosentry keys generate`, or set CONSOLE_TOKEN in the environment"
            )
        self._token = token.encode() if token is not None else None
        self._now_s = now_s

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def allows(self, *, host: str, proxied: bool, cookie: str | None, authorization: str | None) -> bool:
        """Return whether a request with these headers may see anything; `proxied` if it has one of `PROXIED`."""
        if self._local and not proxied and is_loopback(_without_port(host)):
            return True
        scheme, _, given = (authorization or "").partition(" ")
        return self._is_session(cookie or "") or (scheme.lower() == "bearer" and self.is_token(given))

    def is_token(self, given: str) -> bool:
        """Compare in constant time."""
        return self._token is not None and hmac.compare_digest(_bytes(given.strip()), self._token)

    def session(self) -> str:
        """Return a cookie's value for `SESSION_S`: it holds no token, and a new token ends it."""
        return self._signed(str(int(self._now_s()) + SESSION_S))

    def _is_session(self, value: str) -> bool:
        ends, _, _ = value.partition(".")
        if self._token is None or not ends.isascii() or not ends.isdecimal() or len(ends) > 12:
            return False
        return hmac.compare_digest(_bytes(value), self._signed(ends).encode()) and self._now_s() < int(ends)

    def _signed(self, ends: str) -> str:
        assert self._token is not None  # noqa: S101 - for the type checker: whoever signs has a token
        return f"{ends}.{hmac.new(self._token, f'console session {ends}'.encode(), hashlib.sha256).hexdigest()}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # what was not UTF-8 in a header


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
