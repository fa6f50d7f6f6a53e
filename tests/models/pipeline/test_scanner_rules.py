"""Waivers and limits, the rules of our own, and rows for tools that are tested on reports as documented."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pipeline.check import Check
from models.pipeline.scanners.policy import SEVERITIES, SecurityPolicy, Severity, Waiver
from models.pipeline.scanners.reading import Reading, severity_named, severity_of_score
from models.pipeline.scanners.reports import read_bandit, read_modelscan, read_osv, read_pip_audit
from models.pipeline.scanners.sarif import read_sarif
from models.pipeline.scanners.scan import scan
from models.pipeline.scanners.table import SCANNERS
from models.pipeline.scanners.tree import Paths
from tests.support.scanners import HARMLESS, HASH, ROOT, clean_artefacts, clean_source, fake_tool, write_notebook

TODAY = date(2026, 11, 23)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return clean_source(tmp_path / "source")


def check(name: str, paths: Paths, policy: SecurityPolicy | None = None) -> Check:
    return scan(paths, policy or SecurityPolicy(), today=TODAY, only=[name]).checks[-1]


def told(found: Check) -> list[tuple[str, str]]:
    return [(finding.id, finding.where) for finding in found.findings]


# Waivers and limits


def waiver(**changes: object) -> Waiver:
    fields = {"id": "library-unpinned", "by": "A. Person", "reason": "known", "until": TODAY} | changes
    return msgspec.convert(fields, Waiver)


WAIVERS: dict[str, tuple[Waiver, str, str]] = {
    "until today": (waiver(), "waived", "0 found, 1 waived"),
    "for that file": (waiver(where="requirements.lock: *"), "waived", "0 found, 1 waived"),
    "ended yesterday": (waiver(until=date(2026, 11, 22)), "fail", "1 found, 0 waived"),
    "for another file": (waiver(where="other.lock: *"), "fail", "1 found, 0 waived"),
    "for another finding": (waiver(id="library-source"), "fail", "1 found, 0 waived"),
}


@pytest.mark.parametrize("case", WAIVERS)
def test_a_waiver_counts_for_its_finding_until_its_day(source: Path, case: str) -> None:
    given_waiver, verdict, counted = WAIVERS[case]
    (source / "requirements.lock").write_text(f"jinja2>=3 {HASH}\n")
    found = check("libraries", Paths(source=source), SecurityPolicy(waivers=(given_waiver,)))
    assert (found.verdict, told(found)) == (verdict, [("library-unpinned", "requirements.lock: jinja2")])
    assert counted in found.found
    expected = "A. Person, until 2026-11-23: known" if verdict == "waived" else ""
    assert found.findings[0].waived_by == expected
    assert ("The waiver of library-unpinned by A. Person ended on 2026-11-22." in found.advice) == (
        case == "ended yesterday"
    )


def test_a_waived_finding_leaves_the_others_open(source: Path) -> None:
    (source / "requirements.lock").write_text(f"jinja2>=3 {HASH}\nflask>=3 {HASH}\n")
    found = check("libraries", Paths(source=source), SecurityPolicy(waivers=(waiver(where="*: flask"),)))
    assert found.verdict == "fail"
    assert [finding.where for finding in found.findings if finding.waived_by] == ["requirements.lock: flask"]


def test_what_was_not_looked_at_cannot_be_waived(source: Path) -> None:
    (source / "look.ipynb").write_text("{")
    found = check("notebooks", Paths(source=source), SecurityPolicy(waivers=(waiver(id="unread"),)))
    assert found.verdict == "fail"


@pytest.mark.parametrize("nothing", ["by", "reason", "id"])
def test_a_waiver_names_finding_person_and_reason(nothing: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        waiver(**{nothing: ""})


def test_findings_below_the_limit_are_counted_and_not_shown(source: Path) -> None:
    write_notebook(source / "look.ipynb", "table", output="63 1 145")
    found = check("notebooks", Paths(source=source), SecurityPolicy(fail_at="high"))
    assert (found.verdict, told(found)) == ("pass", [])
    assert "1 below the limit" in found.found


def test_the_policy_file_says_what_the_code_takes_for_granted() -> None:
    text = (ROOT / "models" / "pipeline" / "policy" / "security.toml").read_text()
    policy = msgspec.toml.decode(text, type=dict[str, SecurityPolicy])["security"]
    assert msgspec.structs.replace(policy, waivers=()) == SecurityPolicy()
    settings = msgspec.toml.decode(text)["security"]
    assert set(settings) == {field.name for field in msgspec.structs.fields(SecurityPolicy)}


def test_every_scanner_says_how_to_have_it_and_what_to_do() -> None:
    for name, scanner in SCANNERS.items():
        assert scanner.advice, name
        assert scanner.reference, name
        assert callable(scanner.by) or scanner.install, name


def test_every_scanner_stands_in_the_guide() -> None:
    lines = (ROOT / "docs" / "security-scans.md").read_text().splitlines()
    rows = [line.split("|")[1].split()[0] for line in lines if line.startswith("|") and "---" not in line]
    assert rows == ["scanner", *SCANNERS]


# Our own rules

LOCKS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "good": (HARMLESS, []),
    "good, over two lines": (f"requests==2.32.0 \\\n    {HASH}\n    # via nobody\n", []),
    "no version": (f"requests {HASH}\n", [("library-unpinned", "requirements.lock: requests")]),
    "a range": (f"requests>=2 {HASH}\n", [("library-unpinned", "requirements.lock: requests")]),
    "a family of versions": (f"requests==2.* {HASH}\n", [("library-unpinned", "requirements.lock: requests")]),
    "no hash": ("requests==2.32.0\n", [("library-without-hash", "requirements.lock: requests")]),
    "a weak hash": (
        f"requests==2.32.0 --hash=md5:{'a' * 32}\n",
        [("library-without-hash", "requirements.lock: requests")],
    ),
    "another index": (f"--index-url https://a.example/\n{HARMLESS}", [("library-source", "requirements.lock:1")]),
    "one more index": (
        f"{HARMLESS}--extra-index-url https://a.example/\n",
        [("library-source", "requirements.lock:2")],
    ),
    "a directory of packages": (f"-f ./wheels\n{HARMLESS}", [("library-source", "requirements.lock:1")]),
    "another file": (f"-r more.txt\n{HARMLESS}", [("library-source", "requirements.lock:1")]),
    "an address": (
        f"requests @ https://a.example/requests.whl {HASH}\n",
        [("library-source", "requirements.lock: requests")],
    ),
    "a repository": (
        "-e git+https://a.example/requests#egg=requests\n",
        [
            ("library-source", "requirements.lock: requests"),
            ("library-without-hash", "requirements.lock: requests"),
        ],
    ),
    "no requirement": (f"{HARMLESS}!!\n", [("library-unreadable", "requirements.lock:2")]),
}


@pytest.mark.parametrize("case", LOCKS)
def test_libraries_are_pinned_hashed_and_of_the_index(source: Path, case: str) -> None:
    text, expected = LOCKS[case]
    (source / "requirements.lock").write_text(text)
    found = check("libraries", Paths(source=source))
    assert told(found) == expected
    assert (found.verdict == "pass") == (not expected)
    assert "a.example" not in str(found)


def test_a_library_that_is_not_on_the_list_is_found(source: Path) -> None:
    (source / "requirements.lock").write_text(HARMLESS + f"Typing_Extensions==4.16.0 {HASH}\n")
    listed = SecurityPolicy(libraries=("requests", "typing-extensions"))
    assert check("libraries", Paths(source=source), listed).verdict == "pass"
    found = check("libraries", Paths(source=source), SecurityPolicy(libraries=("requests",)))
    assert told(found) == [("library-unlisted", "requirements.lock: typing-extensions")]


def test_a_lock_that_is_no_text_is_no_pass(source: Path) -> None:
    (source / "requirements.lock").write_bytes(b"\x80\x04\xff")
    found = check("libraries", Paths(source=source))
    assert found.verdict == "fail"
    assert "requirements.lock: expected a lock file" in found.found


PEOPLE = {
    "personal-email": "anna.berg@clinic.example",
    "personal-phone": "+49 30 901820 12",
    "personal-us-ssn": "219-09-9999",
    "personal-record-number": "MRN: 0048213",
}


@pytest.mark.parametrize("id", PEOPLE)
def test_people_in_cells_and_outputs_are_found_and_not_repeated(source: Path, id: str) -> None:
    write_notebook(source / "look.ipynb", f"who = '{PEOPLE[id]}'", output=f"{PEOPLE[id]}\n")
    found = check("notebooks", Paths(source=source))
    here = "look.ipynb: cell 1"
    assert told(found) == [(id, here), (id, here), ("notebook-output", here)]
    assert PEOPLE[id] not in str(found)


@pytest.mark.parametrize(
    "code", ["x = 2026-11-23", "model = a @ b.T", "rate = '+1.5e-3'", "thal = [3, 6, 7]", "one = 145-233-0001"]
)
def test_what_only_looks_like_people_is_not_found(source: Path, code: str) -> None:
    write_notebook(source / "look.ipynb", code)
    assert check("notebooks", Paths(source=source)).verdict == "pass"


def test_attachments_and_widgets_are_found(source: Path) -> None:
    notebook = json.loads((source / "look.ipynb").read_text())
    picture = {"a.png": {"image/png": "iVBORw0KGgo="}}
    notebook["cells"].append(
        {"cell_type": "markdown", "id": "two", "metadata": {}, "source": "", "attachments": picture}
    )
    notebook["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    (source / "look.ipynb").write_text(json.dumps(notebook))
    found = check("notebooks", Paths(source=source))
    assert told(found) == [("notebook-attachment", "look.ipynb: cell 2"), ("notebook-output", "look.ipynb")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cells": []}',
        '{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}',
        '{"nbformat": 4, "cells": 1}',
        "\ud800",
        "[" * 20_000,
    ],
)
def test_a_notebook_that_cannot_be_read_is_no_pass(source: Path, text: str) -> None:
    (source / "look.ipynb").write_bytes(text.encode("utf-8", "surrogatepass"))
    found = check("notebooks", Paths(source=source))
    assert found.verdict == "fail"
    assert told(found) == [("unread", "look.ipynb: expected a notebook (nbformat 4)")]


FOREIGN: dict[str, tuple[str, bytes]] = {
    "a pickle": ("model.pkl", b"\x80\x04N."),
    "a pickle by another name": ("model.json", b"\x80\x04\x95N."),
    "a pickle called a graph": ("model.onnx", b"\x80\x04\x95N."),
    "without a format": ("model", b"{}"),
    "control characters": ("model.txt", b"a\0b"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_was_downloaded_is_a_graph_or_text(tmp_path: Path, case: str) -> None:
    name, content = FOREIGN[case]
    artefacts = clean_artefacts(tmp_path / "artefacts")
    assert check("artefacts", Paths(artefacts=artefacts)).verdict == "pass"
    (artefacts / name).write_bytes(content)
    found = check("artefacts", Paths(artefacts=artefacts))
    assert {name} == {where for _, where in told(found)}
    assert found.verdict == "fail"


# Reports


def documented(tool: str, id: str, level: str, score: str | None, place: str, message: str) -> str:
    """A SARIF report of the shape that the tool's own documentation and reference outputs show."""
    rule: dict[str, object] = {"id": id, "shortDescription": {"text": "as its database tells"}}
    rule["properties"] = {"tags": ["security"]} | ({"security-severity": score} if score else {})
    location = {"artifactLocation": {"uri": place, "uriBaseId": "ROOTPATH"}, "region": {"startLine": 7}}
    result: dict[str, object] = {"ruleId": id, "message": {"text": message}}
    result |= {"locations": [{"physicalLocation": location}]} | ({"level": level} if level else {})
    driver = {"name": tool, "fullName": f"{tool} Vulnerability Scanner", "rules": [rule]}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": [result]}]})


TRIVY = "Artifact: Dockerfile\nType: dockerfile\nVulnerability DS002\nSeverity: HIGH\nMessage: Specify a USER"
GRYPE = "A critical vulnerability in python package: jinja2, version 2.4.1 was found at: requirements.txt"

DOCUMENTED: dict[str, tuple[str, str, int, tuple[str, str, str]]] = {
    "Trivy": (
        "trivy",
        documented("Trivy", "DS002", "error", "8.0", "deploy/Dockerfile", TRIVY),
        9,
        ("DS002", "deploy/Dockerfile:7", f"high: {TRIVY}".replace("\n", " ")),
    ),
    "Trivy as it was, without scores": (
        "trivy",
        documented("Trivy", "DS002", "error", None, "deploy/Dockerfile", TRIVY),
        9,
        ("DS002", "deploy/Dockerfile:7", f"high: {TRIVY}".replace("\n", " ")),
    ),
    "Grype": (
        "grype",
        documented("Grype", "CVE-2099-1-jinja2", "", "9.1", "/requirements.lock/requirements.txt", GRYPE),
        0,
        ("CVE-2099-1-jinja2", "requirements.lock:7", f"critical: {GRYPE}"),
    ),
}


@pytest.mark.parametrize("case", DOCUMENTED)
def test_tools_that_share_sarif_are_rows_of_the_table(source: Path, tmp_path: Path, case: str) -> None:
    name, report, code, expected = DOCUMENTED[case]
    (source / "deploy").mkdir()
    (source / "deploy" / "Dockerfile").write_text("FROM scratch\n")
    tools = fake_tool(tmp_path / "tools", name, report=report, code=code)
    found = check(name, Paths(source=source), SecurityPolicy(tools=str(tools)))
    assert found.verdict == "fail"
    assert [(each.id, each.where, each.what) for each in found.findings] == [expected]


def test_grype_is_given_locks_under_the_name_that_it_knows(source: Path, tmp_path: Path) -> None:
    (source / "deep").mkdir()
    (source / "deep" / "requirements-dev.lock").write_text(HARMLESS)
    seen = tmp_path / "seen"
    body = f"""
directory = pathlib.Path(arguments[0].removeprefix("dir:"))
files = sorted(str(file.relative_to(directory)) for file in directory.rglob("*") if file.is_file())
pathlib.Path({str(seen)!r}).write_text(" ".join(files))
"""
    clean = '{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "grype"}}, "results": []}]}'
    tools = fake_tool(tmp_path / "tools", "grype", report=clean, body=body)
    assert check("grype", Paths(source=source), SecurityPolicy(tools=str(tools))).verdict == "pass"
    assert seen.read_text() == "deep/requirements-dev.lock/requirements.txt requirements.lock/requirements.txt"


SCORES: dict[float, Severity] = {0.1: "low", 4: "medium", 7: "high", 9: "critical", 10: "critical"}


def test_scores_are_called_as_cvss_calls_them_and_unknown_ones_are_the_worst() -> None:
    assert {score: severity_of_score(score) for score in SCORES} == SCORES
    assert {severity_of_score(score) for score in (0, -1, float("nan"), float("inf"))} == {"critical"}
    assert [severity_named(name.upper()) for name in SEVERITIES] == list(SEVERITIES)
    assert severity_named("UNDEFINED") == "critical"


@pytest.mark.parametrize("score", ['"none"', '"9.9"', "9.9", '""'])
def test_a_severity_that_cannot_be_read_is_not_taken_for_a_low_one(score: str) -> None:
    report = documented("Grype", "CVE-2099-1", "error", "SCORE", "a", "said").replace('"SCORE"', score)
    (found,) = read_sarif(report.encode(), str).found
    assert found.severity == ("high" if score == '""' else "critical")


def test_a_package_that_pip_audit_skips_is_unread() -> None:
    """Without --strict it ends well with this report when its service does not answer."""
    skipped = {"name": "jinja2", "skip_reason": "Dependency not found on PyPI and could not be audited"}
    report = json.dumps({"dependencies": [skipped], "fixes": []}).encode()
    assert read_pip_audit(report, {"jinja2 2.4.1"}).unread == ("jinja2 2.4.1",)
    versioned = report.replace(b'"skip_reason"', b'"version": "2.4.1", "skip_reason"')
    assert read_pip_audit(versioned, {"jinja2 2.4.1"}).unread == ("jinja2 2.4.1",)
    assert read_pip_audit(report, set()).unread == ("jinja2 (skipped)",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "runs", "results", "errors", "metrics", "dependencies", "summary", "issues"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=50)
@given(JSON)
def test_a_report_of_another_form_is_refused_or_leaves_something_unread(report: object) -> None:
    """Nothing that a tool may write in place of its report reads as clean."""
    text = json.dumps(report).encode()
    given_files = ["app.py"]
    readers: list[Callable[[], Reading]] = [
        lambda: read_sarif(text, str),
        lambda: read_bandit(text, str, given_files),
        lambda: read_osv(text, str, ["jinja2 2.4.1"]),
        lambda: read_pip_audit(text, ["jinja2 2.4.1"]),
        lambda: read_modelscan(text, given_files, ()),
    ]
    for read in readers:
        try:
            reading = read()
        except msgspec.DecodeError:
            continue
        assert reading.unread
