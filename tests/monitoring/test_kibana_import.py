"""`cardiosentry kibana import` against what Kibana's API documents.

https://www.elastic.co/docs/api/doc/kibana: saved objects and detection engine, import, export and find.
"""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

import pytest

from cli.main import main
from monitoring.kibana.package import DETECTION_RULES, SAVED_OBJECTS, packaged
from monitoring.kibana.saved import DASHBOARD, description
from monitoring.kibana.version import VERSION
from tests.support.recording import RecordingServer, Request

OBJECTS, RULES = packaged(SAVED_OBJECTS), packaged(DETECTION_RULES)
KEY, PASSWORD = "aGlkZGVu", "hidden"
_NOT_THERE = {"statusCode": 400, "error": "Bad Request", "message": "Error fetching objects to export"}


class FakeKibana:
    """Keeps what is imported, as Kibana does; `answers` are in place of its own, by what the path ends with."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, tuple[int, Any]] = {}

    def __call__(self, request: Request) -> tuple[int, Any]:
        path, _, query = request.path.partition("?")
        for end, answer in self.answers.items():
            if path.endswith(end):
                return answer
        if request.method != "GET" and "kbn-xsrf" not in request.headers:
            return 400, {"message": "Request must contain a kbn-xsrf header."}
        if path.endswith("/saved_objects/_export"):
            (asked,) = request.body["objects"]
            found = self.objects.get(asked["id"])
            return (200, found) if found else (400, _NOT_THERE)
        if path.endswith("/rules/_find"):
            return 200, {"page": 1, "perPage": 100, "total": len(self.rules), "data": list(self.rules.values())}
        assert query == "overwrite=true"
        lines = request.body["file"].lines
        if path.endswith("/saved_objects/_import"):
            self.objects |= {each["id"]: each for each in lines}
            return 200, {"success": True, "successCount": len(lines), "warnings": [], "successResults": []}
        assert path.endswith("/detection_engine/rules/_import")
        self.rules |= {each["rule_id"]: each for each in lines}
        return 200, {"success": True, "success_count": len(lines), "rules_count": len(lines), "errors": []}


class Run(NamedTuple):
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


def run(server: RecordingServer, *arguments: str, **env: str) -> Run:
    """Run the command here, which is quicker than in a process of its own."""
    given = {"ELASTIC_API_KEY": KEY, **env}
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in given.items():
            patch.setenv(name, value)
        try:
            main(["kibana", "import", "--kibana", server.address, *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    return Run(code, out.getvalue(), err.getvalue())


def test_everything_is_imported_as_the_api_wants_it() -> None:
    fake = FakeKibana()
    with RecordingServer(fake) as server:
        done = run(server, "--space", "hospital")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{len(OBJECTS)} saved objects: made", f"{len(RULES)} detection rules: made"]
    imports = [each for each in server.requests if "_import" in each.path]
    assert [each.path for each in imports] == [
        "/s/hospital/api/saved_objects/_import?overwrite=true",
        "/s/hospital/api/detection_engine/rules/_import?overwrite=true",
    ]
    assert [each.body["file"].lines for each in imports] == [OBJECTS, RULES]
    assert all(each.body["file"].name.endswith(".ndjson") for each in imports)  # Kibana takes no other
    assert all(each.headers["authorization"] == f"ApiKey {KEY}" for each in server.requests)


def test_the_default_space_and_a_user_are_asked_for_as_documented() -> None:
    with RecordingServer(FakeKibana()) as server:
        done = run(server, "--no-rules", ELASTIC_API_KEY="", ELASTIC_USERNAME="ada", ELASTIC_PASSWORD=PASSWORD)
    assert done.returncode == 0, done.stderr
    assert [each.path.partition("?")[0] for each in server.requests] == [
        "/api/saved_objects/_export",
        "/api/saved_objects/_import",
    ]
    assert server.requests[0].headers["authorization"] == "Basic YWRhOmhpZGRlbg=="


def test_a_second_import_changes_no_rule() -> None:
    fake = FakeKibana()
    with RecordingServer(fake) as server:
        run(server)
        fake.rules["cardiosentry-drift"]["enabled"] = False
        done = run(server)
    assert done.stdout.splitlines() == [
        f"{len(OBJECTS)} saved objects: replaced",
        f"{len(RULES)} detection rules: as before",
    ]
    assert fake.rules["cardiosentry-drift"]["enabled"] is False


def test_an_earlier_rule_is_replaced_and_keeps_what_people_gave_it() -> None:
    fake = FakeKibana()
    theirs = {"enabled": False, "actions": [{"id": "mail"}], "exceptions_list": [{"id": "ward-3"}]}
    fake.rules["cardiosentry-drift"] = {"rule_id": "cardiosentry-drift", "version": VERSION - 1, **theirs}
    with RecordingServer(fake) as server:
        done = run(server)
    assert done.stdout.splitlines()[1:] == [
        f"{len(RULES) - 1} detection rules: made",
        "1 detection rules: replaced",
    ]
    now = fake.rules["cardiosentry-drift"]
    assert now["version"] == VERSION
    assert {name: now[name] for name in theirs} == theirs


def test_what_is_of_a_later_version_is_left_alone() -> None:
    fake = FakeKibana()
    later = {"type": "dashboard", "id": DASHBOARD, "attributes": {"description": description(VERSION + 1)}}
    fake.objects[DASHBOARD] = later
    fake.rules = {each["rule_id"]: each | {"version": VERSION + 1} for each in RULES}
    with RecordingServer(fake) as server:
        done = run(server)
    assert done.stdout.splitlines() == [
        f"{len(OBJECTS)} saved objects: left alone: of version {VERSION + 1}, this is {VERSION}",
        f"{len(RULES)} detection rules: left alone: of a later version than {VERSION}",
    ]
    assert not [each for each in server.requests if "_import" in each.path]


_CONFLICT = {
    "success": False,
    "success_count": 27,
    "rules_count": 28,
    "errors": [{"rule_id": "cardiosentry-drift", "error": {"status_code": 409, "message": 'rule_id: "x" aGlkZGVu'}}],
}
_PARTLY = {
    "success": False,
    "successCount": 1,
    "errors": [
        {"id": f"cardiosentry-{number}", "type": "search", "error": {"type": "missing_references"}}
        for number in range(7)
    ],
}
_UNAUTHORISED = {"statusCode": 401, "error": "Unauthorized", "message": "unable to authenticate aGlkZGVu"}
REFUSED = {
    "no such key": ("saved_objects/_export", 401, _UNAUTHORISED, "expected a key or password that it takes"),
    "no right": ("rules/_find", 403, {}, "expected a key that may call detection_engine/rules/_find"),
    "no such space": ("saved_objects/_export", 404, {}, "and a space hospital"),
    "not ready": ("saved_objects/_export", 503, {}, "expected it to be ready, it said 503"),
    "a broken file": ("saved_objects/_import", 400, {"message": "aGlkZGVu"}, "it said 400"),
    "objects that it refuses": (
        "saved_objects/_import",
        200,
        _PARTLY,
        "it took 1: search cardiosentry-0: missing_references; search cardiosentry-1",
    ),
    "rules that it refuses": ("rules/_import", 200, _CONFLICT, "it took 27: cardiosentry-drift: status 409"),
    "fewer than sent": ("saved_objects/_import", 200, {"success": True, "successCount": 2}, "it took 2"),
    "another server": ("rules/_find", 200, ["hello"], "another server answered"),
}


@pytest.mark.parametrize(("path", "status", "answer", "says"), REFUSED.values(), ids=REFUSED)
def test_what_kibana_refuses_is_told_in_a_sentence_and_no_key_with_it(
    path: str, status: int, answer: Any, says: str
) -> None:
    fake = FakeKibana()
    fake.answers[path] = (status, answer)
    with RecordingServer(fake) as server:
        done = run(server, "--space", "hospital")
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert KEY not in done.stdout + done.stderr


BEFORE_ANYTHING: dict[str, tuple[list[str], str]] = {
    "a key without TLS": (["--kibana", "http://kibana:5601"], "setting kibana: expected https"),
    "no address": (["--kibana", "kibana"], "setting kibana: expected an address"),
    "no CA": (["--kibana-ca", "missing.pem"], "setting kibana_ca: expected a file"),
    "no such id of a space": (["--space", "Hospital/../"], "--space: expected the id of a space"),
    "a prefix that no index can have": (["--topic-prefix", "Site A"], "setting topic_prefix"),
    "nobody there": (["--kibana", "http://localhost:1"], "setting kibana: expected Kibana to answer"),
}


@pytest.mark.parametrize(("arguments", "says"), BEFORE_ANYTHING.values(), ids=BEFORE_ANYTHING)
def test_what_cannot_be_used_is_told(arguments: list[str], says: str) -> None:
    with RecordingServer(FakeKibana()) as server:
        done = run(server, *arguments)
    assert done.returncode == 1
    assert says in done.stderr
    assert server.requests == []


def test_a_prefix_goes_before_every_name_and_behind_what_people_read() -> None:
    fake = FakeKibana()
    with RecordingServer(fake) as server:
        assert run(server, "--topic-prefix", "site-a-").returncode == 0
    assert all(id.startswith("site-a-cardiosentry-") for id in (*fake.objects, *fake.rules))
    text = json.dumps([*fake.objects.values(), *fake.rules.values()])
    assert text.count("site-a-cardiosentry-") == text.count("cardiosentry-")
    assert fake.objects["site-a-" + DASHBOARD]["attributes"]["title"] == "CardioSentry: incidents (site-a)"
    assert fake.rules["site-a-cardiosentry-drift"]["name"].endswith(" (site-a)")
