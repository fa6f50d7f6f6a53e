"""Documents are sent until Elasticsearch has them; only what it says against a document itself ends that one's way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import UserError
from monitoring.elastic import bulk as bulk_module
from monitoring.elastic.bulk import Bulk, Document, Stopped
from monitoring.elastic.client import connect
from tests.support.recording import Answer, RecordingServer, Request

DOCUMENTS = [Document("i-1970.01.01", f"id:{number}", b'{"n":%d}' % number) for number in range(6)]


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_module, "_FIRST_S", 0.001)


@contextmanager
def sending(answer: Answer, major: int = 8) -> Iterator[tuple[RecordingServer, Bulk]]:
    with RecordingServer(answer, major=major) as server, connect(server.address, "", {}) as client:
        yield server, Bulk(client, threading.Event())


def taken(request: Request, **by_id: tuple[int, str, str]) -> tuple[int, dict[str, Any]]:
    """Answer a bulk request: 201 for each document but those that `by_id` gives a status, type and reason."""
    items: list[dict[str, Any]] = []
    for action in request.body[::2]:
        status, kind, reason = by_id.get(action["create"]["_id"].replace(":", "_"), (201, "", ""))
        items.append({"create": {"status": status, **({"error": {"type": kind, "reason": reason}} if kind else {})}})
    return 200, {"errors": any(item["create"]["status"] >= 300 for item in items), "items": items}


def ids(request: Request) -> list[str]:
    return [action["create"]["_id"] for action in request.body[::2]]


@pytest.mark.parametrize("major", [8, 9])
def test_a_request_is_one_that_servers_of_both_versions_take(major: int) -> None:
    with sending(taken, major) as (server, bulk):
        assert bulk.send(DOCUMENTS) == []
    (request,) = server.requests
    assert request.headers["content-type"] == "application/vnd.elasticsearch+x-ndjson; compatible-with=8"
    assert request.headers["accept"] == "application/vnd.elasticsearch+json; compatible-with=8"
    assert request.body[:2] == [{"create": {"_index": "i-1970.01.01", "_id": "id:0"}}, {"n": 0}]


def test_what_is_there_already_counts_as_shipped() -> None:
    with sending(lambda r: taken(r, id_2=(409, "version_conflict_engine_exception", "exists"))) as (server, bulk):
        assert bulk.send(DOCUMENTS) == []
    assert len(server.requests) == 1


def test_a_server_that_has_too_much_to_do_gets_those_again_that_it_did_not_take() -> None:
    def answer(request: Request) -> tuple[int, Any]:
        if len(server.requests) == 1:
            return 429, {"error": {"type": "es_rejected_execution_exception"}, "status": 429}
        if len(server.requests) == 2:
            return taken(request, id_1=(429, "es_rejected_execution_exception", ""), id_4=(503, "unavailable", ""))
        return taken(request)

    with sending(answer) as (server, bulk):
        assert bulk.send(DOCUMENTS) == []
    assert [len(ids(request)) for request in server.requests] == [6, 6, 2]
    assert ids(server.requests[2]) == ["id:1", "id:4"]


def test_a_refused_document_costs_the_others_nothing_and_its_content_is_not_repeated() -> None:
    reason = "[1:15] failed to parse field [cardiosentry.missing] of type [long]. Preview of field's value: 'Jane Doe'"
    with sending(lambda r: taken(r, id_3=(400, "document_parsing_exception", reason))) as (_, bulk):
        (refused,) = bulk.send(DOCUMENTS)
    assert refused == (3, "document_parsing_exception at cardiosentry.missing")


OF_THE_CLUSTER = {
    "one shard too many": ("validation_exception", "this action would add [2] shards, but this cluster has [1000]"),
    "a closed index": ("index_closed_exception", "closed"),
    "a pipeline that is missing": ("illegal_argument_exception", "pipeline with id [x] does not exist"),
    "an error that we do not know": ("new_exception", "field [x]"),
}


@pytest.mark.parametrize(("kind", "reason"), OF_THE_CLUSTER.values(), ids=OF_THE_CLUSTER)
def test_what_is_no_fault_of_a_document_is_waited_for(kind: str, reason: str) -> None:
    def answer(request: Request) -> tuple[int, Any]:
        first = len(server.requests) == 1
        return taken(request, **({"id_0": (400, kind, reason)} if first else {}))

    with sending(answer) as (server, bulk):
        assert bulk.send(DOCUMENTS) == []
    assert len(server.requests) == 2


OF_A_DOCUMENT = {
    "a field that is not mapped": ("strict_dynamic_mapping_exception", "introduction of [x] within [_doc] not allowed"),
    "an earlier server": ("mapper_parsing_exception", "failed to parse"),
    "a term too long": ("illegal_argument_exception", 'Document contains at least one immense term in field="x"'),
    "a label too many": ("illegal_argument_exception", "Limit of total fields [1000] has been exceeded"),
    "a label of another type": (
        "illegal_argument_exception",
        "mapper [labels.x] cannot be changed from type [a] to [b]",
    ),
}


@pytest.mark.parametrize(("kind", "reason"), OF_A_DOCUMENT.values(), ids=OF_A_DOCUMENT)
def test_a_document_that_is_never_taken_does_not_hold_up_the_others(kind: str, reason: str) -> None:
    with sending(lambda r: taken(r, id_3=(400, kind, reason))) as (server, bulk):
        assert bulk.send(DOCUMENTS) == [(3, kind)]
    assert len(server.requests) == 1


def test_a_request_that_is_too_large_goes_in_halves() -> None:
    took: list[str] = []

    def answer(request: Request) -> tuple[int, Any]:
        too_large = len(ids(request)) > 2 or "id:5" in ids(request)
        if too_large:
            return 413, {"error": "too large"}
        took.extend(ids(request))
        return taken(request)

    with sending(answer) as (_, bulk):
        refused = bulk.send(DOCUMENTS)
    assert refused == [(5, "expected a document of a size that the server takes")]
    assert sorted(took) == [document.id for document in DOCUMENTS[:5]]


@pytest.mark.parametrize(("status", "says"), [(401, "ELASTIC_API_KEY"), (403, "docs/shipping.md")])
def test_a_key_that_is_refused_is_told_and_not_shown(status: int, says: str) -> None:
    error = {"error": {"type": "security_exception", "reason": "key c2VjcmV0"}, "status": status}
    with (
        RecordingServer(lambda _: (status, error)) as server,
        connect(server.address, "", {"ELASTIC_API_KEY": "c2VjcmV0"}) as client,
        pytest.raises(UserError, match=says) as raised,
    ):
        Bulk(client, threading.Event()).send(DOCUMENTS)
    assert server.requests[0].headers["authorization"] == "ApiKey c2VjcmV0"
    assert "c2VjcmV0" not in str(raised.value)


def test_a_key_that_may_not_write_an_index_rejects_no_document() -> None:
    with (
        sending(lambda r: taken(r, id_0=(403, "security_exception", "unauthorised"))) as (_, bulk),
        pytest.raises(UserError, match=r"may not write to i-1970\.01\.01"),
    ):
        bulk.send(DOCUMENTS)


def test_waiting_ends_when_the_process_is_to_end() -> None:
    stop = threading.Event()

    def answer(_: Request) -> tuple[int, Any]:
        stop.set()
        return 503, {}

    with (
        RecordingServer(answer) as server,
        connect(server.address, "", {}) as client,
        pytest.raises(Stopped),
    ):
        Bulk(client, stop).send(DOCUMENTS)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from([201, 409, 429, 503, 400]), min_size=6, max_size=6), max_size=4))
def test_whatever_a_server_says_each_document_is_taken_or_refused_once(rounds: list[list[int]]) -> None:
    """The server answers by a script for each document, then takes everything."""
    had: dict[str, list[int]] = {document.id: [] for document in DOCUMENTS}

    def answer(request: Request) -> tuple[int, Any]:
        statuses = {}
        for identity in ids(request):
            number = int(identity[3:])
            turn = len(had[identity])
            status = rounds[turn][number] if turn < len(rounds) else 201
            had[identity].append(status)
            kind = "" if status < 300 else "document_parsing_exception"
            statuses[identity.replace(":", "_")] = (status, kind, "")
        return taken(request, **statuses)

    with sending(answer) as (_, bulk):
        refused = {DOCUMENTS[each.place].id for each in bulk.send(DOCUMENTS)}
    for identity, statuses in had.items():
        assert all(status in (429, 503) for status in statuses[:-1])
        assert statuses[-1] == 400 if identity in refused else statuses[-1] in (201, 409)
