"""Documents into Elasticsearch, each once: sent by an id that is theirs, again and again until it has them.

A document is created, never replaced: one that is there already counts as shipped, and our key need no right to change
any. Only what Elasticsearch says against a document itself ends its way; everything else is waited out.
"""

import logging
import random
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from elasticsearch import ApiError, Elasticsearch, TransportError

from contracts.errors import UserError
from monitoring.elastic.client import explained, passes

log = logging.getLogger("cardiosentry")

MAX_BYTES = 5 * 1024 * 1024
"""Of one request; Elasticsearch advises 5 to 15 MB and refuses more than 100 MB."""

_FIRST_S = 0.2
_MAX_S = 30.0
_FILTER = ["errors", "items.*.status", "items.*.error.type", "items.*.error.reason"]
_FIELD = re.compile(r"\bfield \[([A-Za-z0-9_.@]{1,100})\] of type")
_DOCUMENT_FAULTS = {
    *("document_parsing_exception", "mapper_parsing_exception", "strict_dynamic_mapping_exception"),
    *("max_bytes_length_exceeded_exception", "parsing_exception", "x_content_parse_exception", "json_parse_exception"),
}
_OF_A_FIELD = re.compile(r"\b(field|fields|mapper|term)\b", re.IGNORECASE)


class Stopped(Exception):
    """The process is to end; what was not shipped will be by whoever comes next."""


class Document(NamedTuple):
    """A document on its way. `where`, an index, and `id` need no escaping in JSON; `body` is one line of JSON."""

    where: str
    id: str
    body: bytes


class Refused(NamedTuple):
    """A document, by its place in what was sent, that Elasticsearch will never take, and why, in our own words."""

    place: int
    detail: str


class _Error(msgspec.Struct):
    type: str = ""
    reason: str = ""


class _Item(msgspec.Struct):
    status: int
    error: _Error | None = None


class Bulk:
    """Sends documents, from any thread; `stop` ends its waiting.

    With `refresh` Elasticsearch answers when a search finds them: for few documents that somebody waits for.
    """

    def __init__(self, client: Elasticsearch, stop: threading.Event, *, refresh: bool = False) -> None:
        self._client = client
        self._stop = stop
        self._refresh = refresh or None

    def send(self, documents: Sequence[Document]) -> list[Refused]:
        """Return once Elasticsearch has every document but those returned.

        Raises `UserError` if it takes none of ours (a wrong key, missing rights), `Stopped` while it waits.
        """
        refused: list[Refused] = []
        left = list(range(len(documents)))
        waits = back_off()
        failed_before = False
        while left:
            left, fault = self._try(documents, left, refused)
            if not left:
                break
            wait = next(waits)
            log.warning("elasticsearch waits documents=%d again_in_s=%.1f because=%s", len(left), wait, fault)
            failed_before = True
            if self._stop.wait(wait):
                raise Stopped
        if failed_before:
            log.info("elasticsearch took documents=%d", len(documents) - len(refused))
        return refused

    def _try(self, documents: Sequence[Document], places: list[int], refused: list[Refused]) -> tuple[list[int], str]:
        """Send once; return the places that must be sent again and why."""
        lines = [
            b'{"create":{"_index":"%b","_id":"%b"}}\n%b\n' % (d.where.encode(), d.id.encode(), d.body)
            for d in (documents[place] for place in places)
        ]
        try:
            answer = self._client.bulk(operations=lines, filter_path=_FILTER, refresh=self._refresh)  # type: ignore[arg-type]  # as its helpers do
        except (ApiError, TransportError) as error:
            if isinstance(error, ApiError) and error.status_code == 413:
                return self._in_halves(documents, places, refused)
            if not passes(error):
                raise explained(error) from None
            return places, str(error.status_code) if isinstance(error, ApiError) else type(error).__name__
        if not answer["errors"]:
            return [], ""
        again, fault = [], ""
        for place, item in zip(places, _items(answer.body), strict=True):
            if item.status < 300 or item.status == 409:
                continue
            error_type = item.error.type if item.error else ""
            if error_type == "security_exception":
                raise UserError(
                    "Elasticsearch: expected a key with the rights that docs/shipping.md lists, ours may not write to "
                    f"{documents[place].where}"
                )
            if item.status == 413 or (item.status == 400 and _is_of_document(item.error)):
                refused.append(Refused(place, _detail(error_type, item.error)))
            else:
                again.append(place)
                fault = f"{item.status} {error_type}"
        return again, fault

    def _in_halves(
        self, documents: Sequence[Document], places: list[int], refused: list[Refused]
    ) -> tuple[list[int], str]:
        """Send less at once, where a request was larger than the server or something before it takes."""
        if len(places) == 1:
            refused.append(Refused(places[0], "expected a document of a size that the server takes"))
            return [], ""
        middle = len(places) // 2
        left, fault = self._try(documents, places[:middle], refused)
        right, other = self._try(documents, places[middle:], refused)
        return left + right, fault or other


def back_off() -> Iterator[float]:
    """Yield seconds to wait, doubled each time up to half a minute, spread so that several do not come at once."""
    wait = _FIRST_S
    while True:
        yield wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests, guards nothing
        wait = min(2 * wait, _MAX_S)


def _items(body: Any) -> list[_Item]:
    return [msgspec.convert(item["create"], _Item) for item in body["items"]]


def _is_of_document(error: _Error | None) -> bool:
    """Whether Elasticsearch will never take the document.

    Status 400 is also what a closed index answers, one shard too many or a pipeline that is missing: what we do not
    know to be the document's fault is waited out, since what is refused is committed.
    """
    if error is None:
        return False
    if error.type == "illegal_argument_exception":
        return bool(_OF_A_FIELD.search(error.reason))
    return error.type in _DOCUMENT_FAULTS


def _detail(error_type: str, error: _Error | None) -> str:
    """Return the type of error and the field: the rest of what Elasticsearch says may repeat a value."""
    field = _FIELD.search(error.reason) if error else None
    return error_type + (f" at {field[1]}" if field else "")
