"""The real tools find what is planted, say nothing of what is clean, and are not talked out of it by the source."""

import os
import pickle
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import joblib
import msgspec
import numpy as np
import pytest

from models.pipeline.check import Check, Report
from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.scanners.scan import scan
from models.pipeline.scanners.tree import Paths
from tests.conftest import cannot_run
from tests.support.scanners import (
    HARMLESS,
    ROOT,
    SECRET,
    TOOLS,
    VULNERABILITY,
    VULNERABLE,
    ToolsUnavailable,
    build,
    clean_artefacts,
    clean_source,
    osv_database,
    osv_service,
    write_notebook,
)

TODAY = date(2026, 11, 23)


@pytest.fixture(scope="session")
def tools() -> Path:
    try:
        build()
    except ToolsUnavailable as error:
        cannot_run(str(error), "scanners")
    return TOOLS


@pytest.fixture(scope="module")
def osv_url() -> Iterator[str]:
    with osv_service() as url:
        yield url


@pytest.fixture
def policy(tools: Path, tmp_path: Path, osv_url: str) -> SecurityPolicy:
    """A policy by which every scanner works without a network."""
    return SecurityPolicy(tools=str(tools), osv_database=str(osv_database(tmp_path / "osv")), osv_url=osv_url)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return clean_source(tmp_path / "source")


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    return clean_artefacts(tmp_path / "artefacts")


def check_of(name: str, report: Report) -> Check:
    return next(check for check in report.checks if check.name == name)


def told(check: Check) -> set[tuple[str, str]]:
    return {(finding.id, finding.where) for finding in check.findings}


def test_a_clean_tree_passes_every_scanner(policy: SecurityPolicy, source: Path, artefacts: Path) -> None:
    report = scan(Paths(source=source, artefacts=artefacts), policy, today=TODAY)
    assert {check.name: (check.verdict, check.found) for check in report.checks if check.verdict != "pass"} == {}
    assert [check.name for check in report.checks] == ["files", *policy.required]
    assert report.passed
    assert report.facts["version of gitleaks"] == "8.30.1"
    assert report.facts["version of osv-scanner"] == "1.9.2"
    assert (report.facts["files of source"], report.facts["files of artefacts"]) == (3, 2)


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("true",)


def evil_pickle(_: Path, artefacts: Path) -> None:
    (artefacts / "model.pkl").write_bytes(pickle.dumps(Evil()))


def joblib_of_an_array(_: Path, artefacts: Path) -> None:
    joblib.dump(np.ones(3), artefacts / "model.joblib")


PLANTED: dict[str, tuple[str, Callable[[Path, Path], object], set[tuple[str, str]]]] = {
    "a secret in code": (
        "gitleaks",
        lambda source, _: (source / "app.py").write_text(f"one = 1\nKEY = '{SECRET}'\n"),
        {("aws-access-token", "app.py:2")},
    ),
    "a secret in configuration": (
        "gitleaks",
        lambda source, _: (source / "compose.yml").write_text(f"environment:\n  AWS_ACCESS_KEY_ID: {SECRET}\n"),
        {("aws-access-token", "compose.yml:2")},
    ),
    "a secret in what a notebook printed": (
        "gitleaks",
        lambda source, _: write_notebook(source / "look.ipynb", "print(key)", output=f"{SECRET}\n"),
        {("aws-access-token", "look.ipynb:13")},
    ),
    "a vulnerable library, by OSV-Scanner": (
        "osv-scanner",
        lambda source, _: (source / "requirements.lock").write_text(HARMLESS + VULNERABLE),
        {(VULNERABILITY, "requirements.lock: jinja2 2.4.1")},
    ),
    "a vulnerable library, by pip-audit": (
        "pip-audit",
        lambda source, _: (source / "requirements.lock").write_text(HARMLESS + VULNERABLE),
        {(VULNERABILITY, "jinja2 2.4.1")},
    ),
    "an eval": (
        "bandit",
        lambda source, _: (source / "app.py").write_text("eval(input())\n"),
        {("B307", "app.py:1")},
    ),
    "code that cannot be parsed": (
        "bandit",
        lambda source, _: (source / "app.py").write_text("def (\n"),
        {("unread", "app.py: syntax error while parsing AST from file")},
    ),
    "what a notebook printed": (
        "notebooks",
        lambda source, _: write_notebook(source / "look.ipynb", "table", output="63 1 145"),
        {("notebook-output", "look.ipynb: cell 1")},
    ),
    "a pickle that runs a command": (
        "modelscan",
        evil_pickle,
        {("PickleUnsafeOpScan", "model.pkl")},
    ),
    "a file that ModelScan cannot parse": (
        "modelscan",
        joblib_of_an_array,
        {("unread", "model.joblib: PICKLE_GENOPS")},
    ),
    "a file of a form that ModelScan does not know": (
        "modelscan",
        lambda _, artefacts: (artefacts / "model.xyz").write_bytes(pickle.dumps(Evil())),
        {("unread", "model.xyz")},
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_what_is_planted_is_found(policy: SecurityPolicy, source: Path, artefacts: Path, case: str) -> None:
    name, plant, expected = PLANTED[case]
    plant(source, artefacts)
    report = scan(Paths(source=source, artefacts=artefacts), policy, today=TODAY, only=[name])
    check = check_of(name, report)
    assert told(check) == expected
    assert check.verdict == "fail"
    assert check.advice
    assert not report.passed
    assert SECRET not in str(msgspec.json.encode(report))


EXCUSES: dict[str, tuple[str, dict[str, str]]] = {
    "gitleaks": (
        "gitleaks",
        {
            "app.py": f"KEY = '{SECRET}'  # gitleaks:allow\n",
            ".gitleaks.toml": "[allowlist]\npaths = ['.*']\n",
            ".gitleaksignore": "source/app.py:aws-access-token:1\napp.py:aws-access-token:1\n",
        },
    ),
    "bandit": (
        "bandit",
        {
            "app.py": "eval(input())  # nosec\n",
            ".bandit": "[bandit]\nskips: B307\n",
            "pyproject.toml": "[tool.bandit]\nskips = ['B307']\n",
        },
    ),
    "bandit, by the directory's name": ("bandit", {".tox/app.py": "eval(input())\n"}),
    "osv-scanner": (
        "osv-scanner",
        {
            "requirements.lock": VULNERABLE,
            "osv-scanner.toml": f"[[IgnoredVulns]]\nid = '{VULNERABILITY}'\nreason = 'none'\n",
        },
    ),
}


@pytest.mark.parametrize("case", EXCUSES)
def test_the_source_cannot_excuse_itself(
    policy: SecurityPolicy, source: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, files = EXCUSES[case]
    for file, text in files.items():
        (source / file).parent.mkdir(exist_ok=True)
        (source / file).write_text(text)
    monkeypatch.setenv("GITLEAKS_CONFIG", str(source / ".gitleaks.toml"))
    check = check_of(name, scan(Paths(source=source), policy, today=TODAY, only=[name]))
    assert check.verdict == "fail"
    assert len(check.findings) == 1
    assert check.findings[0].id != "unread"


def test_settings_among_the_artefacts_do_not_blind_modelscan(policy: SecurityPolicy, artefacts: Path) -> None:
    evil_pickle(artefacts, artefacts)
    (artefacts / "modelscan-settings.toml").write_text("modelscan_version = '0.8.8'\n")
    report = scan(Paths(artefacts=artefacts), policy, today=TODAY, only=["modelscan"])
    assert told(check_of("modelscan", report)) == {("PickleUnsafeOpScan", "model.pkl")}


def test_a_password_that_bandit_quotes_is_not_repeated(policy: SecurityPolicy, source: Path) -> None:
    (source / "app.py").write_text("password = 'sesame-of-the-cellar'\n")
    strict = msgspec.structs.replace(policy, fail_at="low")
    report = scan(Paths(source=source), strict, today=TODAY, only=["bandit"])
    assert told(check_of("bandit", report)) == {("B105", "app.py:1")}
    assert "sesame" not in str(msgspec.json.encode(report))


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/v1/query"], ids=["PyPI", "an OSV service"])
def test_pip_audit_without_its_service_is_no_pass(
    policy: SecurityPolicy, source: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    away = msgspec.structs.replace(policy, osv_url=url)
    check = check_of("pip-audit", scan(Paths(source=source), away, today=TODAY, only=["pip-audit"]))
    assert check.verdict == "fail"
    assert check.found.startswith("could not be made: expected")
    assert check.advice.startswith("To have it: ")


def test_this_repository_passes_its_own_policy(tools: Path) -> None:
    """Without the two that ask for vulnerabilities, which become known without any change of ours."""
    text = (ROOT / "models" / "pipeline" / "policy" / "security.toml").read_bytes()
    own = msgspec.toml.decode(text, type=dict[str, SecurityPolicy])["security"]
    own = msgspec.structs.replace(own, tools=str(tools))
    only = ["gitleaks", "bandit", "notebooks", "libraries"]
    if not is_cut_off(ROOT):
        only.append("gitleaks-history")
    report = scan(Paths(source=ROOT), own, today=TODAY, only=only)
    assert {check.name: check.findings for check in report.checks if check.verdict == "fail"} == {}
    assert report.passed


def is_cut_off(repository: Path) -> bool:
    """Whether a checkout has not its whole history: it cannot be judged then, as the check itself says."""
    asked = ["git", "-C", str(repository), "rev-parse", "--is-shallow-repository"]
    return subprocess.run(asked, capture_output=True, check=False).stdout == b"true\n"
