"""The table of scanners: a row says what it looks at, how it is called and how its report is read.

A new tool is a new row. Rows for Trivy and Grype are tested on reports as their documentation shows them, not on the
tools themselves.
"""

import os
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.pipeline.scanners.artefacts import read_artefacts
from models.pipeline.scanners.history import clone, clone_of, read_history, repositories
from models.pipeline.scanners.libraries import packages, read_libraries
from models.pipeline.scanners.notebooks import read_notebooks
from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.scanners.reading import Reading, ScannerFailed
from models.pipeline.scanners.reports import read_bandit, read_modelscan, read_osv, read_pip_audit
from models.pipeline.scanners.sarif import read_sarif
from models.pipeline.scanners.tool import Job, Tool
from models.pipeline.scanners.tree import ARTEFACTS, SOURCE, Tree

Rule = Callable[[Tree, tuple[str, ...], SecurityPolicy], Reading]


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """A row. `files` picks what it looks at, which are called `of`; with `needs_files`, having none is a failure.

    `by` is a program (`Tool`) or a rule of our own; `install` says how the program gets onto a machine, `advice` what
    to do about a finding.
    """

    looks_for: str
    files: Callable[[Tree, SecurityPolicy], list[str]]
    by: Tool | Rule
    advice: str
    of: str = "files"
    needs_files: bool = False
    install: str = ""
    reference: str = ""


def _source(tree: Tree, _: SecurityPolicy) -> list[str]:
    return list(tree.source)


def _code(tree: Tree, _: SecurityPolicy) -> list[str]:
    return tree.matching("*.py")


def _notebooks(tree: Tree, _: SecurityPolicy) -> list[str]:
    return tree.matching("*.ipynb")


def _locks(tree: Tree, policy: SecurityPolicy) -> list[str]:
    return tree.matching(*policy.locks)


def _artefacts(tree: Tree, _: SecurityPolicy) -> list[str]:
    return list(tree.artefacts)


def _gitleaks(job: Job) -> list[str]:
    """Files of settings or exceptions would count at the top of the scanned directory, where the source has none."""
    return ["dir", str(Path(SOURCE).parent), *_gitleaks_options(job)]


def _gitleaks_history(job: Job) -> list[str]:
    """A merge counts with what it has beside both its parents: git by itself shows no merge's changes."""
    commits = "--log-opts=--full-history --all --diff-merges=remerge"
    return ["git", str(clone_of(job)), commits, *_gitleaks_options(job)]


def _gitleaks_options(job: Job) -> list[str]:
    """No comment in the source counts."""
    return [
        *("--ignore-gitleaks-allow", "--max-archive-depth", "3"),
        *("--exit-code", "9", "--redact=100", "--no-banner", "--no-color", "--log-level", "error"),
        *("--report-format", "sarif", "--report-path", str(job.report)),
    ]


def _bandit(job: Job) -> list[str]:
    """No "nosec" counts; files that are named one by one are looked at without any .bandit."""
    return [
        *("--ignore-nosec", "-x", str(job.work), "-q", "-f", "json", "-o", str(job.report)),
        *(f"./{file}" for file in job.files),
    ]


def _osv_scanner(job: Job) -> list[str]:
    settings = job.work / "osv-scanner.toml"
    settings.write_text("")
    offline = ["--experimental-offline"] if job.policy.osv_database else []
    locks = [argument for file in job.files for argument in ("-L", f"requirements.txt:{job.tree.root / file}")]
    return [
        *("scan", *offline, "--config", str(settings), "--experimental-all-packages", "--experimental-no-resolve"),
        *("--verbosity", "error", "--format", "json", "--output", str(job.report), *locks),
    ]


def _osv_environment(job: Job) -> dict[str, str]:
    database = job.policy.osv_database
    return {"OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY": str(Path(database).absolute())} if database else {}


def _osv_database(job: Job) -> None:
    """OSV-Scanner finds nothing wrong with an old database, nor with an empty one."""
    if not job.policy.osv_database:
        return
    archive = Path(job.policy.osv_database, "osv-scanner", "PyPI", "all.zip")
    try:
        age_days = (time.time() - archive.stat().st_mtime) / 86_400
        with zipfile.ZipFile(archive) as database:
            records = sum(name.endswith(".json") for name in database.namelist())
    except (OSError, zipfile.BadZipFile):
        raise ScannerFailed(f"{archive}: expected OSV's records of PyPI, found none") from None
    if not records:
        raise ScannerFailed(f"{archive}: expected OSV's records of PyPI, got an empty archive")
    if age_days > job.policy.osv_database_days:
        raise ScannerFailed(
            f"{archive}: expected records of the last {job.policy.osv_database_days:g} days, got {age_days:.0f} days"
        )


def _pip_audit(job: Job) -> list[str]:
    service = ["-s", "osv", "--osv-url", job.policy.osv_url] if job.policy.osv_url else ["-s", "pypi"]
    locks = [argument for file in job.files for argument in ("-r", str(job.tree.root / file))]
    return [
        *("--strict", "--disable-pip", "--require-hashes", "--progress-spinner", "off", *service),
        *("--cache-dir", str(job.work / "cache"), "-f", "json", "-o", str(job.report), *locks),
    ]


def _modelscan(job: Job) -> list[str]:
    return ["-p", ARTEFACTS, "--show-skipped", "-l", "ERROR", "-r", "json", "-o", str(job.report)]


def _trivy(job: Job) -> list[str]:
    return ["config", "--exit-code", "9", "--format", "sarif", "--output", str(job.report), "--quiet", SOURCE]


def _grype(job: Job) -> list[str]:
    """Grype knows lock files by their name alone: each is copied to a directory of its own, under that name."""
    locks = job.work / "locks"
    for file in job.files:
        copy = locks / job.tree.place(file) / "requirements.txt"
        copy.parent.mkdir(parents=True)
        shutil.copyfile(job.tree.root / file, copy)
    return [f"dir:{locks}", "--output", "sarif", "--file", str(job.report), "--quiet"]


def _passed_on(name: str) -> Callable[[Job], dict[str, str]]:
    """Let a tool find the database that somebody keeps for it."""
    return lambda _: {name: os.environ[name]} if name in os.environ else {}


_UPDATE = "Change to a version in which it is mended; if there is none, leave the library or have a person waive it."
_MAKE_TOOLS = "make tools"
_MAKE_DEV = "make dev, or the extra `scan` of pyproject.toml"

SCANNERS: Mapping[str, Scanner] = {
    "gitleaks": Scanner(
        looks_for="secrets in code, notebooks and configuration",
        files=_source,
        by=Tool(
            program="gitleaks",
            version=("version",),
            arguments=_gitleaks,
            exits={0: "clean", 9: "findings"},
            read=lambda job, report: read_sarif(report, job.tree.place, severity="critical"),
        ),
        advice="Revoke the secret first, since whoever can read the source has it; then take it out.",
        needs_files=True,
        install=_MAKE_TOOLS,
        reference="CWE-798 Use of Hard-coded Credentials",
    ),
    "gitleaks-history": Scanner(
        looks_for="secrets in git's history",
        files=repositories,
        of="repositories",
        by=Tool(
            program="gitleaks",
            version=("version",),
            arguments=_gitleaks_history,
            before=clone,
            exits={0: "clean", 9: "findings"},
            read=read_history,
        ),
        advice="Revoke the secret first, since whoever has the repository has it; then take it out of the history "
        "(git filter-repo), or have a person waive what is revoked.",
        install=f"git, {_MAKE_TOOLS} and the whole history of the source",
        reference="CWE-798 Use of Hard-coded Credentials",
    ),
    "osv-scanner": Scanner(
        looks_for="libraries with known vulnerabilities",
        files=_locks,
        by=Tool(
            program="osv-scanner",
            version=("--version",),
            arguments=_osv_scanner,
            environment=_osv_environment,
            before=_osv_database,
            exits={0: "clean", 1: "findings"},
            read=lambda job, report: read_osv(report, job.tree.place, packages(job.tree, job.files)),
        ),
        advice=_UPDATE,
        needs_files=True,
        install=f"{_MAKE_TOOLS}; without a way to osv.dev, a copy of its records in the directory `osv_database`",
        reference="MITRE ATLAS AML.T0010.001 AI Supply Chain Compromise: AI Software",
    ),
    "pip-audit": Scanner(
        looks_for="libraries with known vulnerabilities, as PyPI tells",
        files=_locks,
        by=Tool(
            program="pip_audit",
            distribution="pip-audit",
            arguments=_pip_audit,
            exits={0: "clean", 1: "findings"},
            read=lambda job, report: read_pip_audit(report, packages(job.tree, job.files)),
        ),
        advice=_UPDATE,
        needs_files=True,
        install=f"{_MAKE_DEV}; it needs a way to pypi.org, or to the OSV service of the setting `osv_url`",
        reference="MITRE ATLAS AML.T0010.001 AI Supply Chain Compromise: AI Software",
    ),
    "bandit": Scanner(
        looks_for="dangerous code",
        files=_code,
        by=Tool(
            program="bandit",
            distribution="bandit",
            arguments=_bandit,
            exits={0: "clean", 1: "findings"},
            read=lambda job, report: read_bandit(report, job.tree.place, job.files),
        ),
        advice="Write it another way, or have a person waive it for that file.",
        needs_files=True,
        install=_MAKE_DEV,
        reference="CWE-94 Code Injection, and as each finding says",
    ),
    "notebooks": Scanner(
        looks_for="outputs and people's data in notebooks",
        files=_notebooks,
        by=read_notebooks,
        advice="Clear the outputs (jupyter nbconvert --clear-output --inplace); take people's data out of the cells.",
        reference="GDPR Art. 5(1)(c) data minimisation",
    ),
    "libraries": Scanner(
        looks_for="libraries that are not listed, pinned and hashed",
        files=_locks,
        by=read_libraries,
        advice="Change pyproject.toml, then make lock.",
        needs_files=True,
        reference="MITRE ATLAS AML.T0010.001 AI Supply Chain Compromise: AI Software",
    ),
    "modelscan": Scanner(
        looks_for="downloaded models that run code",
        files=_artefacts,
        by=Tool(
            program="modelscan.cli",
            distribution="modelscan",
            arguments=_modelscan,
            exits={0: "clean", 1: "findings", 2: "unread", 3: "clean"},
            read=lambda job, report: read_modelscan(
                report, [job.tree.place(file) for file in job.files], job.policy.artefact_formats
            ),
        ),
        advice="Do not open it. Use models in ONNX.",
        install=_MAKE_DEV,
        reference="MITRE ATLAS AML.T0011.000 User Execution: Unsafe AI Artifacts",
    ),
    "artefacts": Scanner(
        looks_for="downloaded files that are neither a graph of listed operators nor text",
        files=_artefacts,
        by=read_artefacts,
        advice="Do not open it. Use models in ONNX, made of the operators in models/artefact.py.",
        reference="MITRE ATLAS AML.T0011.000 User Execution: Unsafe AI Artifacts",
    ),
    "trivy": Scanner(
        looks_for="unsafe configuration: Dockerfiles, Compose, Kubernetes",
        files=_source,
        by=Tool(
            program="trivy",
            version=("--version",),
            arguments=_trivy,
            environment=_passed_on("TRIVY_CACHE_DIR"),
            exits={0: "clean", 9: "findings"},
            read=lambda job, report: read_sarif(report, job.tree.place, messages=True),
        ),
        advice="Change the configuration as the finding says.",
        needs_files=True,
        install="https://trivy.dev",
        reference="CWE-16 Configuration",
    ),
    "grype": Scanner(
        looks_for="libraries with known vulnerabilities, as Grype's database tells",
        files=_locks,
        by=Tool(
            program="grype",
            version=("--version",),
            arguments=_grype,
            environment=_passed_on("GRYPE_DB_CACHE_DIR"),
            exits={0: "clean"},
            read=lambda _, report: read_sarif(
                report, lambda path: path.strip("/").removesuffix("/requirements.txt"), messages=True
            ),
        ),
        advice=_UPDATE,
        needs_files=True,
        install="https://github.com/anchore/grype",
        reference="MITRE ATLAS AML.T0010.001 AI Supply Chain Compromise: AI Software",
    ),
}
