"""The reports of tools that have no SARIF, or say more in a form of their own: what they looked at above all.

Each reader raises `msgspec.DecodeError` on what is no such report.
"""

from collections.abc import Callable, Collection

import msgspec
from packaging.utils import canonicalize_name

from models.pipeline.scanners.policy import Severity
from models.pipeline.scanners.reading import (
    Found,
    Reading,
    not_seen,
    one_line,
    severity_named,
    severity_of_score,
)

Place = Callable[[str], str]


class BanditError(msgspec.Struct, frozen=True):
    filename: str
    reason: str


class BanditResult(msgspec.Struct, frozen=True):
    test_id: str
    issue_severity: str
    issue_text: str
    filename: str
    line_number: int


class BanditReport(msgspec.Struct, frozen=True):
    errors: tuple[BanditError, ...]
    results: tuple[BanditResult, ...]
    metrics: dict[str, msgspec.Raw]


def read_bandit(report: bytes, place: Place, given: Collection[str]) -> Reading:
    """A file with a syntax error counts as unread: Bandit itself ends well on it. Passwords that it quotes are cut."""
    read = msgspec.json.decode(report, type=BanditReport)
    found = tuple(
        Found(
            id=result.test_id,
            where=f"{place(result.filename)}:{result.line_number}",
            what=one_line(result.issue_text.partition(": '")[0]),
            severity=severity_named(result.issue_severity),
        )
        for result in read.results
    )
    errors = tuple(f"{place(error.filename)}: {one_line(error.reason)}" for error in read.errors)
    seen = {place(name) for name in read.metrics}
    return Reading(found, errors + not_seen(map(place, given), seen))


class OsvPackage(msgspec.Struct, frozen=True):
    name: str
    version: str = ""


class OsvGroup(msgspec.Struct, frozen=True):
    ids: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    max_severity: str = ""


class OsvEntry(msgspec.Struct, frozen=True):
    package: OsvPackage
    groups: tuple[OsvGroup, ...] = ()


class OsvSource(msgspec.Struct, frozen=True):
    path: str


class OsvResult(msgspec.Struct, frozen=True):
    source: OsvSource
    packages: tuple[OsvEntry, ...]


class OsvReport(msgspec.Struct, frozen=True):
    results: tuple[OsvResult, ...]


def read_osv(report: bytes, place: Place, given: Collection[str]) -> Reading:
    """`given` names packages as "name version"; what has no score counts as critical."""
    found: list[Found] = []
    seen: set[str] = set()
    for result in msgspec.json.decode(report, type=OsvReport).results:
        for entry in result.packages:
            package = _package(entry.package.name, entry.package.version)
            seen.add(package)
            found += [
                Found(
                    id=group.ids[0] if group.ids else "unnamed",
                    where=f"{place(result.source.path)}: {package}",
                    what=_also_known(group.aliases, group.ids[:1]),
                    severity=_scored(group.max_severity),
                )
                for group in entry.groups
            ]
    return Reading(tuple(found), not_seen(given, seen))


class AuditVulnerability(msgspec.Struct, frozen=True):
    id: str
    fix_versions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


class AuditDependency(msgspec.Struct, frozen=True):
    name: str
    version: str = ""
    vulns: tuple[AuditVulnerability, ...] = ()
    skip_reason: str = ""


class AuditReport(msgspec.Struct, frozen=True):
    dependencies: tuple[AuditDependency, ...]


def read_pip_audit(report: bytes, given: Collection[str]) -> Reading:
    """A skipped package counts as unread: pip-audit itself ends well on it. It tells no severity: critical."""
    dependencies = msgspec.json.decode(report, type=AuditReport).dependencies
    seen = {_package(each.name, each.version) for each in dependencies if not each.skip_reason}
    found = tuple(
        Found(
            id=vulnerability.id,
            where=_package(each.name, each.version),
            what=_also_known(vulnerability.aliases)
            + (f"; mended in {', '.join(vulnerability.fix_versions[:3])}" if vulnerability.fix_versions else ""),
            severity="critical",
        )
        for each in dependencies
        for vulnerability in each.vulns
    )
    skipped = {f"{each.name} (skipped)" for each in dependencies if each.skip_reason and not each.version}
    return Reading(found, not_seen(given, seen) or tuple(sorted(skipped)))


class ScanIssue(msgspec.Struct, frozen=True):
    description: str
    source: str
    severity: str
    scanner: str


class ScanError(msgspec.Struct, frozen=True):
    category: str
    source: str = ""


class ScanSeen(msgspec.Struct, frozen=True):
    scanned_files: tuple[str, ...] = ()


class ScanSkip(msgspec.Struct, frozen=True):
    category: str
    source: str


class ScanSkipped(msgspec.Struct, frozen=True):
    skipped_files: tuple[ScanSkip, ...] = ()


class ScanSummary(msgspec.Struct, frozen=True):
    scanned: ScanSeen = ScanSeen()
    skipped: ScanSkipped = ScanSkipped()


class ModelScanReport(msgspec.Struct, frozen=True):
    summary: ScanSummary
    issues: tuple[ScanIssue, ...]
    errors: tuple[ScanError, ...]


def read_modelscan(report: bytes, given: Collection[str], formats: Collection[str]) -> Reading:
    """Files it has no scanner for are unread, unless of the `formats` (".onnx") that our own rule reads.

    ModelScan names files relative to what it scanned, and what is inside an archive as "archive:file".
    """
    read = msgspec.json.decode(report, type=ModelScanReport)
    found = tuple(
        Found(
            id=one_line(issue.scanner.rpartition(".")[2]),
            where=one_line(issue.source),
            what=one_line(issue.description),
            severity=severity_named(issue.severity),
        )
        for issue in read.issues
    )
    errors = tuple(f"{one_line(error.source)}: {one_line(error.category)}" for error in read.errors)
    seen = {name.partition(":")[0] for name in read.summary.scanned.scanned_files}
    seen |= {
        skip.source
        for skip in read.summary.skipped.skipped_files
        if skip.category == "SCAN_NOT_SUPPORTED" and skip.source.endswith(tuple(formats))
    }
    return Reading(found, errors + not_seen(given, seen | {error.source for error in read.errors}))


def _package(name: str, version: str) -> str:
    return f"{canonicalize_name(name)} {version}"


def _scored(score: str) -> Severity:
    try:
        return severity_of_score(float(score))
    except ValueError:
        return "critical"


def _also_known(aliases: Collection[str], without: Collection[str] = ()) -> str:
    others = [alias for alias in aliases if alias not in without]
    return "known vulnerability" + (f", also {', '.join(others[:3])}" if others else "")
