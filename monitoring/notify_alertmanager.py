"""Hands alerts to Alertmanager, by its API v2."""

import base64
import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Sequence

from contracts.codec import encode
from contracts.errors import RetryableError
from monitoring.addresses import check_address
from monitoring.notify import Posted

log = logging.getLogger("cardiosentry.notify")

_TIMEOUT_S = 5.0
_AT_ONCE = 500


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Followed, a POST becomes a GET that anything answers: the alerts would count as taken."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


class Alertmanager:
    """One Alertmanager, or several of one cluster, each of which is to have every alert.

    `login` is user:password for HTTP basic authentication, or empty. Raises `UserError` for an address that is none.
    """

    def __init__(self, addresses: Sequence[str], login: str = "") -> None:
        for address in addresses or ("",):
            check_address("alertmanager", address, login="alertmanager_login names a file", secret=bool(login))
        self._urls = [f"{address.rstrip('/')}/api/v2/alerts" for address in addresses]
        self._headers = {"Content-Type": "application/json"}
        if login:
            self._headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()

    def post(self, alerts: Sequence[Posted]) -> None:
        """Hand the alerts over; raise `RetryableError` where none of the Alertmanagers took them."""
        for first in range(0, len(alerts), _AT_ONCE):
            content = encode(alerts[first : first + _AT_ONCE])
            answers = [self._post(url, content) for url in self._urls]
            failures = [answer for answer in answers if answer]
            if len(failures) == len(answers):
                raise RetryableError("; ".join(failures))
            for failure in failures:
                log.warning("alertmanager away why=%r", failure)

    def _post(self, url: str, content: bytes) -> str:
        """Return why an Alertmanager did not take the alerts, empty if it did."""
        request = urllib.request.Request(url, content, self._headers)  # noqa: S310 - http or https, checked above
        try:
            with _OPENER.open(request, timeout=_TIMEOUT_S):
                return ""
        except urllib.error.HTTPError as error:
            error.close()
            return f"{url}: HTTP {error.code}"
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            return f"{url}: {reason}"
