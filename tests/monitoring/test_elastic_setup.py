"""What `ship --setup` asks of a server that has ILM, by its documented API, and what it leaves alone."""

import itertools
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from contracts.errors import UserError
from monitoring.elastic.client import connect
from monitoring.elastic.setup import Done, require_setup, set_up
from monitoring.elastic.streams import STREAMS, VERSION, Names
from tests.support.recording import RecordingServer, Request

NAMES = Names("site-")
POLICY = "/_ilm/policy/"


class Documented:
    """Keeps what is put, and gives it back in the forms that Elasticsearch documents."""

    def __init__(self, *, ilm: bool = True) -> None:
        self.ilm = ilm
        self.kept: dict[str, Any] = {}

    def __call__(self, request: Request) -> tuple[int, Any]:
        path = request.path.partition("?")[0]
        if path.startswith(POLICY) and not self.ilm:
            return 400, {"error": f"no handler found for uri [{path}] and method [{request.method}]"}
        if request.method == "GET":
            return self._get(path)
        kept = path.removesuffix("/_mapping")
        self.kept[kept] = {"mappings": request.body} if kept != path else request.body
        return 200, {"acknowledged": True}

    def _get(self, path: str) -> tuple[int, Any]:
        if "*" in path:
            return 200, {name: each for name, each in self.kept.items() if name.startswith("cardiosentry-predictions-")}
        kept = self.kept.get(path.removesuffix("/_mapping"))
        if kept is None:
            return 404, {"error": {"type": "resource_not_found_exception"}, "status": 404}
        name = path.removesuffix("/_mapping").rpartition("/")[2]
        if path.startswith("/_ilm/"):
            return 200, {name: {"version": 1, "modified_date": "2026-11-23T00:00:00.000Z", "policy": kept["policy"]}}
        if path.startswith("/_component_template/"):
            return 200, {"component_templates": [{"name": name, "component_template": kept}]}
        if path.startswith("/_index_template/"):
            return 200, {"index_templates": [{"name": name, "index_template": kept}]}
        return 200, {name: {"mappings": kept["mappings"]}}


def became(server: RecordingServer, *, ilm: bool = True, **keep_days: int) -> Iterator[Done]:
    with connect(server.address, "", {}) as client:
        yield from set_up(client, NAMES, ilm=ilm, keep_days={n.replace("_", "-"): d for n, d in keep_days.items()})


@pytest.mark.parametrize("major", [8, 9])
def test_everything_is_made_once_and_stays_as_it_was(major: int) -> None:
    documented = Documented()
    with RecordingServer(documented, major=major) as server:
        first, kept = list(became(server)), dict(documented.kept)
        again = list(became(server))
    assert {done.became for done in first} == {"made"}
    assert {done.became for done in again} == {"as before"}
    assert documented.kept.keys() == kept.keys()
    assert len(first) == 3 * len(STREAMS) + 2


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_a_streams_indices_are_deleted_so_many_days_after_their_own(stream: Any) -> None:
    documented = Documented()
    with RecordingServer(documented) as server:
        list(became(server))
    policy = documented.kept[POLICY + NAMES.of(stream)]["policy"]
    component = documented.kept["/_component_template/" + NAMES.of(stream)]
    template = documented.kept["/_index_template/" + NAMES.of(stream)]
    delete = policy["phases"].get("delete")
    assert delete == (stream.keep_days and {"min_age": f"{stream.keep_days}d", "actions": {"delete": {}}})
    assert component["template"]["settings"]["index.lifecycle.name"] == NAMES.of(stream)
    assert component["template"]["settings"]["index.lifecycle.parse_origination_date"] is True
    assert template["index_patterns"] == [NAMES.pattern(stream)]
    assert template["composed_of"] == [NAMES.base, NAMES.of(stream)]


def test_retention_is_what_was_asked_for_last() -> None:
    documented = Documented()
    with RecordingServer(documented) as server:
        list(became(server))
        list(became(server, shadow_predictions=7, audit=400))
        _aged(documented, VERSION - 1)
        list(became(server))
    phases = {path: kept["policy"]["phases"] for path, kept in documented.kept.items() if path.startswith(POLICY)}
    assert phases[f"{POLICY}site-cardiosentry-shadow-predictions"]["delete"]["min_age"] == "7d"
    assert phases[f"{POLICY}site-cardiosentry-audit"]["delete"]["min_age"] == "400d"
    assert phases[f"{POLICY}site-cardiosentry-predictions"]["delete"]["min_age"] == "30d"


def _aged(documented: Documented, version: int) -> dict[str, Any]:
    for kept in documented.kept.values():
        for part in (kept, kept.get("policy", {}), kept.get("mappings", {})):
            if "_meta" in part:
                part["_meta"] = {**part["_meta"], "version": version}
    return dict(documented.kept)


def test_what_an_earlier_version_made_is_replaced_also_in_the_indices_of_today() -> None:
    documented = Documented()
    with RecordingServer(documented) as server:
        list(became(server))
        _aged(documented, VERSION - 1)
        server.requests.clear()
        again = list(became(server))
    assert {done.became for done in again} == {"replaced"}
    assert {f"/{NAMES.pattern(stream)}/_mapping" for stream in STREAMS} <= mappings_put(server)


def mappings_put(server: RecordingServer) -> set[str]:
    put = [request.path.partition("?")[0] for request in server.requests if request.method == "PUT"]
    return {unquote(path) for path in put if path.endswith("/_mapping")}


def test_an_update_that_was_interrupted_is_finished_by_the_next_run() -> None:
    documented = Documented()
    away = False

    def answer(request: Request) -> tuple[int, Any]:
        if away and request.method == "PUT" and NAMES.of(STREAMS[0]) in request.path and "_mapping" in request.path:
            return 503, {"error": {"type": "unavailable"}, "status": 503}
        return documented(request)

    with RecordingServer(answer) as server, connect(server.address, "", {}) as client:
        list(became(server))
        _aged(documented, VERSION - 1)
        away = True
        with pytest.raises(UserError, match="it said 503"):
            list(became(server))
        with pytest.raises(UserError, match=f"it has version {VERSION - 1}; run `cardiosentry ship --setup`"):
            require_setup(client, NAMES)
        away = False
        server.requests.clear()
        list(became(server))
        assert {f"/{NAMES.pattern(stream)}/_mapping" for stream in STREAMS} <= mappings_put(server)
        require_setup(client, NAMES)


@pytest.mark.parametrize(
    ("path", "said", "expected"),
    [
        ("-base", "unknown setting [index.mapping.total_fields.ignore_dynamic_beyond_limit]", "expected 8.13 or later"),
        ("/_mapping", "mapper [a] cannot be changed from type [long] to [date]", "site-cardiosentry-predictions-*"),
    ],
    ids=["an earlier server", "an index that no template made"],
)
def test_what_a_server_does_not_take_is_told(path: str, said: str, expected: str) -> None:
    documented = Documented()

    def answer(request: Request) -> tuple[int, Any]:
        if request.method == "PUT" and request.path.partition("?")[0].endswith(path):
            return 400, {"error": {"type": "illegal_argument_exception", "reason": said}, "status": 400}
        return documented(request)

    with RecordingServer(answer) as server, pytest.raises(UserError, match=re.escape(expected)):
        list(became(server))


def test_what_a_later_version_made_is_left_alone_and_told() -> None:
    documented = Documented()
    with RecordingServer(documented) as server:
        list(became(server))
        kept = _aged(documented, VERSION + 1)
        before = len(server.requests)
        again = list(became(server))
        assert all(request.method == "GET" for request in itertools.islice(server.requests, before, None))
    assert {done.became for done in again} == {f"left alone: it is of version {VERSION + 1}, this is {VERSION}"}
    assert documented.kept == kept


def test_a_server_without_ilm_is_told_and_left_as_it_is() -> None:
    documented = Documented(ilm=False)
    with RecordingServer(documented) as server:
        with pytest.raises(UserError, match="--without-ilm"):
            list(became(server))
        assert documented.kept == {}
        made = list(became(server, ilm=False))
    assert not any(done.what.startswith("policy") for done in made)
    assert not any("lifecycle" in str(kept) for kept in documented.kept.values())


def test_a_server_that_was_not_set_up_is_told_how() -> None:
    with (
        RecordingServer(Documented()) as server,
        connect(server.address, "", {}) as client,
        pytest.raises(UserError, match="ship --setup"),
    ):
        require_setup(client, NAMES)
