"""What comes with the program for Kibana: it is current, whole, and names what there is."""

import json
import re
import runpy
from typing import Any

import pytest

from cli.rescanning import RULE as RESCAN
from contracts.alerts import RISK_SCORE, SEVERITY_NUMBER
from contracts.codec import encode
from contracts.releases import DAY_MS
from models.release_log import ReleaseLog
from models.trust import first_root
from models.verify import VerifiedBundle
from monitoring.elastic.mappings import fields
from monitoring.elastic.streams import STREAMS, Names
from monitoring.kibana.atlas import atlas
from monitoring.kibana.package import DETECTION_RULES, SAVED_OBJECTS, packaged, version_in
from monitoring.kibana.saved import description
from monitoring.kibana.version import VERSION
from stream_app import release_alerts
from stream_app.detectors.rules import load_rules
from stream_app.release_alerts import ReleaseAlerts
from tests.models.signers import root
from tests.producers.support import AT_MS
from tests.stream_app.support import loaded
from tests.support.kibana import panels, queries
from tests.support.process import ROOT

OBJECTS, RULES = packaged(SAVED_OBJECTS), packaged(DETECTION_RULES)
BY_ID = {rule["rule_id"].removeprefix("cardiosentry-"): rule for rule in RULES}


def test_the_files_are_current() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "write_kibana.py"))["files"]()
    for file, content in made.items():
        assert file.read_text("utf-8") == content, "run: python docs/write_kibana.py"


def test_every_rule_that_raises_alerts_has_a_detection_rule() -> None:
    others = [rule.id for rule in (*release_alerts.RULES, RESCAN)]
    assert list(BY_ID) == [rule.id for rule in load_rules().all] + others


def test_what_refers_to_another_object_has_it_before() -> None:
    seen: set[tuple[str, str]] = set()
    for each in OBJECTS:
        assert {(found["type"], found["id"]) for found in each["references"]} <= seen
        seen.add((each["type"], each["id"]))
    assert len(seen) == len(OBJECTS)


def test_panels_lie_side_by_side_within_the_grid() -> None:
    (dashboard,) = [each for each in OBJECTS if each["type"] == "dashboard"]
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(dashboard["attributes"]["panelsJSON"]):
        grid = panel["gridData"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 48
        taken |= cells


def test_queries_and_columns_name_fields_and_indices_that_are_shipped() -> None:
    known = {name for stream in STREAMS for name in fields(stream.document)}
    patterns = {Names().pattern(stream) for stream in STREAMS}
    asked = [url for panel in panels(OBJECTS) for url in queries(panel.spec)]
    named = {name for url in asked for name in _fields(url["body"])}
    named |= {name for each in OBJECTS for name in each["attributes"].get("columns", ())}
    assert len(named) > 20
    assert {name for name in named if not name.startswith("labels.")} <= known
    assert {index for url in asked for index in url["index"].split(",")} <= patterns | {Names().setup}
    assert {index for rule in RULES for index in rule["index"]} <= patterns


def _fields(part: Any) -> set[str]:
    if isinstance(part, list):
        return {name for each in part for name in _fields(each)}
    if not isinstance(part, dict):
        return set()
    found = {name for each in part.values() for name in _fields(each)}
    if isinstance(part.get("field"), str):
        found.add(part["field"])
    for clause in ("term", "range", "wildcard"):
        found |= set(part.get(clause, {}))
    return found


@pytest.mark.parametrize("rule_id", BY_ID)
def test_a_rule_is_as_the_detection_engine_wants_it(rule_id: str) -> None:
    rule = BY_ID[rule_id]
    assert rule["version"] == VERSION >= 1
    assert rule["risk_score"] == RISK_SCORE[rule["severity"]]
    assert all(rule[name] for name in ("name", "description", "query", "index", "tags", "note"))
    assert "](" not in rule["note"]
    for threat in rule["threat"]:
        assert threat["framework"] == "MITRE ATLAS"
        for each in (threat["tactic"], *threat["technique"]):
            assert re.fullmatch(r"AML\.T(A?)\d{4}", each["id"])
            assert each["reference"].endswith(f"/{each['id']}")
            assert each["name"]


def test_techniques_have_the_names_that_our_alerts_give_them() -> None:
    kinds = runpy.run_path(str(ROOT / "docs" / "write_kibana.py"))["kinds"]()
    named = {kind.technique for kind in kinds if kind.technique}
    assert len(named) > 10
    assert named <= {(id, each.name) for id, each in atlas().techniques.items()}
    assert {cell["technique"] for cell in atlas().cells()} == set(atlas().techniques)


def test_release_alerts_have_the_severity_and_technique_that_their_rules_say(verified: VerifiedBundle) -> None:
    told: list[dict[str, Any]] = []
    alerts = ReleaseAlerts(lambda alert: told.append(json.loads(encode(alert))), "worker-0", lambda: AT_MS)
    model = loaded(verified)
    alerts.refused("junk", "0/17")
    alerts.cut("records are gone")
    alerts.unavailable("no files", model.release)
    alerts.shadow_failed(model.release, "ValueError")
    log = ReleaseLog(first_root(root(created_at=AT_MS, expires_at=AT_MS + DAY_MS)))
    alerts.state(log, None, AT_MS)
    alerts.state(log, model, AT_MS)
    current = {each["rule"]["id"]: each for each in told if each["event"].get("action") != "ended"}
    assert len(current) == 6
    for id, each in current.items():
        rule = BY_ID[id]
        assert each["event"]["severity"] == SEVERITY_NUMBER[rule["severity"]]
        technique = each["threat"]["technique"]["id"] if each.get("threat") else []
        assert technique == [found["id"] for found in (rule["threat"] or [{"technique": []}])[0]["technique"]]


def test_the_version_is_read_out_of_the_dashboard() -> None:
    assert version_in(description(12)) == 12
    assert version_in("our own") == 0
