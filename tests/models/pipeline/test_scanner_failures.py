"""A scanner that is missing, fails, takes too long, or says it looked and did not, is a failed check, never a pass."""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import time
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pytest

from contracts.errors import UserError
from models.pipeline.check import Check
from models.pipeline.scanners import tool
from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.scanners.scan import scan
from models.pipeline.scanners.tree import Paths
from tests.support.scanners import HARMLESS, clean_source, fake_tool, osv_database

TODAY = date(2026, 11, 23)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return clean_source(tmp_path / "source")


@pytest.fixture(autouse=True)
def empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has stays out of it."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def check(name: str, source: Path, policy: SecurityPolicy) -> Check:
    found = scan(Paths(source=source), policy, today=TODAY, only=[name]).checks[-1]
    assert found.name == name
    return found


def sarif(**run: object) -> str:
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "gitleaks"}}, "results": [], **run}]})


RESULT = {"ruleId": "a-rule", "message": {"text": "said"}}

FAILURES: dict[str, tuple[str | None, int, str]] = {
    "another exit code": (sarif(), 1, "expected exit code 0 or 9, got 1: what the tool says last"),
    "killed": (sarif(), 137, "expected exit code 0 or 9, got 137: what the tool says last"),
    "no report": (None, 0, "bytes, got 0 and exit code 0: what the tool says last"),
    "an empty report": ("", 0, "bytes, got 0 and exit code 0: what the tool says last"),
    "a report that is cut": (sarif()[:-3], 0, "expected a report of the form that we know"),
    "another form": ("[]", 0, "expected a report of the form that we know"),
    "no runs": ('{"version": "2.1.0", "runs": []}', 0, "expected a report of the form that we know"),
    "another SARIF": (sarif().replace("2.1.0", "3.0.0"), 0, "expected a report of the form that we know"),
    "findings by the exit code, none in the report": (sarif(), 9, "expected findings in the report, as exit code 9"),
    "an end before its end": (sarif(invocations=[{"executionSuccessful": False}]), 0, "1 not looked at"),
    "an error on the way": (
        sarif(invocations=[{"toolExecutionNotifications": [{"level": "error", "message": {"text": "app.py"}}]}]),
        0,
        "1 not looked at",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_run_that_did_not_go_well_is_no_pass(source: Path, tmp_path: Path, case: str) -> None:
    report, code, said = FAILURES[case]
    tools = fake_tool(tmp_path / "tools", "gitleaks", report=report, code=code)
    found = check("gitleaks", source, SecurityPolicy(tools=str(tools)))
    assert found.verdict == "fail"
    assert said in found.found
    assert found.advice


def test_findings_count_whatever_the_exit_code_says(source: Path, tmp_path: Path) -> None:
    tools = fake_tool(tmp_path / "tools", "gitleaks", report=sarif(results=[RESULT]), code=0)
    found = check("gitleaks", source, SecurityPolicy(tools=str(tools)))
    assert found.verdict == "fail"
    assert [(each.id, each.where) for each in found.findings] == [("a-rule", "nowhere in particular")]


def test_a_good_run_of_the_fake_passes(source: Path, tmp_path: Path) -> None:
    """So that the failures above are the faults' and not the fake's."""
    tools = fake_tool(tmp_path / "tools", "gitleaks", report=sarif())
    assert check("gitleaks", source, SecurityPolicy(tools=str(tools))).verdict == "pass"


@pytest.mark.parametrize("name", ["gitleaks", "osv-scanner", "trivy", "grype"])
def test_a_missing_program_fails_and_says_how_to_have_it(source: Path, tmp_path: Path, name: str) -> None:
    policy = SecurityPolicy(tools=str(tmp_path / "empty"), osv_database=str(osv_database(tmp_path / "osv")))
    found = check(name, source, policy)
    assert found.verdict == "fail"
    assert found.found.startswith(f"could not be made: expected the program {name} in ")
    assert found.advice.startswith("To have it: ")


@pytest.mark.parametrize("name", ["bandit", "pip-audit"])
def test_a_missing_package_fails_and_says_how_to_have_it(
    source: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(distribution: str) -> str:
        raise importlib.metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr("importlib.metadata.version", none)
    found = check(name, source, SecurityPolicy())
    assert found.verdict == "fail"
    assert found.found == f"could not be made: expected {name} beside this Python, found none"
    assert "make dev" in found.advice


def test_a_program_that_cannot_start_fails(source: Path, tmp_path: Path) -> None:
    tools = fake_tool(tmp_path / "tools", "gitleaks")
    (tools / "gitleaks").write_text("#!/nowhere/python\n")
    assert "expected a program that starts" in check("gitleaks", source, SecurityPolicy(tools=str(tools))).found


def test_a_scanner_that_takes_too_long_fails_and_leaves_nothing_running(source: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    tools = fake_tool(tmp_path / "tools", "gitleaks")
    script = f"#!/bin/sh\n[ $1 = version ] && exit\n/bin/sleep 600 &\necho $! >{started}\nwait\n"
    (tools / "gitleaks").write_text(script)
    found = check("gitleaks", source, SecurityPolicy(tools=str(tools), timeout_s=3))
    assert found.verdict == "fail"
    assert found.found == "could not be made: expected an end within 3 s, got none"
    child = Path("/proc", started.read_text().strip(), "stat")
    deadline = time.monotonic() + 10
    while child.exists() and child.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_a_report_without_end_is_not_read(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "MAX_REPORT_BYTES", 100)
    tools = fake_tool(tmp_path / "tools", "gitleaks", report=sarif() + " " * 100)
    assert "expected a report of 1 to 100 bytes" in check("gitleaks", source, SecurityPolicy(tools=str(tools))).found


def test_a_tool_gets_no_secret_from_our_environment(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    seen = tmp_path / "seen"
    body = f"import os; pathlib.Path({str(seen)!r}).write_text(' '.join(os.environ))"
    tools = fake_tool(tmp_path / "tools", "gitleaks", report=sarif(), body=body)
    assert check("gitleaks", source, SecurityPolicy(tools=str(tools))).verdict == "pass"
    assert {"PATH", "HOME"} <= set(seen.read_text().split())
    assert "AWS_SECRET_ACCESS_KEY" not in seen.read_text()


def test_an_unreadable_file_is_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shutil.copyfile", refuse)
    with pytest.raises(UserError, match=r"expected a file that can be read: Permission denied"):
        scan(Paths(source=source), SecurityPolicy(), today=TODAY)


def no_database(directory: Path) -> None:
    (directory / "osv-scanner" / "PyPI" / "all.zip").unlink()


def broken_database(directory: Path) -> None:
    (directory / "osv-scanner" / "PyPI" / "all.zip").write_bytes(b"PK")


def empty_database(directory: Path) -> None:
    with zipfile.ZipFile(directory / "osv-scanner" / "PyPI" / "all.zip", "w"):
        pass


def old_database(directory: Path) -> None:
    then = time.time() - 8 * 86_400
    os.utime(directory / "osv-scanner" / "PyPI" / "all.zip", (then, then))


DATABASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "none": (no_database, "expected OSV's records of PyPI, found none"),
    "broken": (broken_database, "expected OSV's records of PyPI, found none"),
    "empty": (empty_database, "expected OSV's records of PyPI, got an empty archive"),
    "old": (old_database, "expected records of the last 7 days, got 8 days"),
}


def osv_report(*packages: str) -> str:
    entries = [{"package": {"name": name, "version": "2.32.0", "ecosystem": "PyPI"}} for name in packages]
    return json.dumps({"results": [{"source": {"path": "requirements.lock"}, "packages": entries}]})


@pytest.mark.parametrize("case", DATABASES)
def test_a_database_that_proves_nothing_is_no_pass(source: Path, tmp_path: Path, case: str) -> None:
    change, said = DATABASES[case]
    tools = fake_tool(tmp_path / "tools", "osv-scanner", report=osv_report("requests"))
    policy = SecurityPolicy(tools=str(tools), osv_database=str(osv_database(tmp_path / "osv")))
    assert check("osv-scanner", source, policy).verdict == "pass"
    change(tmp_path / "osv")
    found = check("osv-scanner", source, policy)
    assert found.verdict == "fail"
    assert said in found.found


def test_a_clean_report_is_no_pass_where_the_service_was_away(source: Path, tmp_path: Path) -> None:
    """OSV-Scanner writes all packages without vulnerabilities then; its exit code alone says 127."""
    tools = fake_tool(tmp_path / "tools", "osv-scanner", report=osv_report("requests"), code=127)
    found = check("osv-scanner", source, SecurityPolicy(tools=str(tools)))
    assert found.verdict == "fail"
    assert "expected exit code 0 or 1, got 127" in found.found


def test_a_package_that_was_left_out_is_no_pass(source: Path, tmp_path: Path) -> None:
    (source / "requirements.lock").write_text(HARMLESS + HARMLESS.replace("requests", "Jinja2"))
    tools = fake_tool(tmp_path / "tools", "osv-scanner", report=osv_report("requests"))
    found = check("osv-scanner", source, SecurityPolicy(tools=str(tools)))
    assert [(each.id, each.where) for each in found.findings] == [("unread", "jinja2 2.32.0")]
    assert found.verdict == "fail"


@pytest.mark.parametrize("name", ["gitleaks", "osv-scanner", "pip-audit", "bandit", "libraries"])
def test_nothing_to_look_at_is_no_pass_where_there_must_be_something(tmp_path: Path, name: str) -> None:
    (tmp_path / "nothing").mkdir()
    found = check(name, tmp_path / "nothing", SecurityPolicy())
    assert found.verdict == "fail"
    assert found.found == "could not be made: expected files to look at, found none"


def test_a_link_fails_and_is_not_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.ipynb").write_text("not a notebook")
    (source / "linked.ipynb").symlink_to(tmp_path / "elsewhere.ipynb")
    (source / "folder").symlink_to(tmp_path)
    report = scan(Paths(source=source), SecurityPolicy(), today=TODAY, only=["notebooks"])
    files, notebooks = report.checks
    assert files.verdict == "fail"
    assert [each.where for each in files.findings] == ["folder", "linked.ipynb"]
    assert notebooks.verdict == "pass"


def test_the_report_tells_which_files_were_looked_at(source: Path, tmp_path: Path) -> None:
    def digest() -> object:
        return scan(Paths(source=source), SecurityPolicy(), today=TODAY, only=["notebooks"]).facts["digest of source"]

    (source / "deep").mkdir()
    (source / "deep" / "more.txt").write_text("more")
    first = digest()
    lines = subprocess.run(
        ["/usr/bin/sha256sum", "app.py", "deep/more.txt", "look.ipynb", "requirements.lock"],
        cwd=source,
        capture_output=True,
        check=True,
    ).stdout
    assert first == "sha256:" + hashlib.sha256(lines).hexdigest()
    (source / "deep" / "more.txt").write_text("less")
    assert digest() != first


def test_a_scanner_that_nobody_knows_is_refused(source: Path) -> None:
    policy = SecurityPolicy(required=("gitleeks",))
    with pytest.raises(UserError, match=r"expected scanners of gitleaks, .*, got gitleeks"):
        scan(Paths(source=source), policy, today=TODAY)


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a directory to scan"):
        scan(Paths(source=tmp_path / "none"), SecurityPolicy(), today=TODAY)


def test_a_policy_that_requires_nothing_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.toml.decode("required = []", type=SecurityPolicy)
