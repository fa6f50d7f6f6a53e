"""Gate 1, security: runs what the policy requires and holds the findings against it.

>>> from models.pipeline.scanners.policy import SecurityPolicy
>>> scan(Paths(source=Path("here")), SecurityPolicy(), today=date(2026, 11, 23))  # doctest: +SKIP
Report(step='security', ...)
"""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from contracts.errors import UserError
from models.pipeline.check import Check, Finding, Report, Verdict
from models.pipeline.scanners.policy import SEVERITIES, SecurityPolicy, Waiver
from models.pipeline.scanners.reading import Found, Reading, ScannerFailed, one_line
from models.pipeline.scanners.table import SCANNERS, Scanner
from models.pipeline.scanners.tool import Job, Tool
from models.pipeline.scanners.tree import Paths, Tree, copy_tree

MAX_FINDINGS = 200


def scan(paths: Paths, policy: SecurityPolicy, *, today: date, only: Collection[str] = ()) -> Report:
    """Return one check of each required scanner, or of those in `only`, and one of the files themselves.

    A scanner that is missing, fails, takes too long or leaves something out is a failed check. `facts` holds how many
    files there were, their digest (whoever trains can tell that it is these) and each tool's version. Raises
    `UserError` for unknown scanners and for paths that cannot be read.
    """
    names = [*dict.fromkeys(only or policy.required)]
    if unknown := sorted(set(names) - set(SCANNERS)):
        raise UserError(f"security: expected scanners of {', '.join(SCANNERS)}, got {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix="cardiosentry-scan-") as directory:
        tree = copy_tree(paths, policy.skip, Path(directory) / "tree")
        checks = [_check_files(tree)]
        facts: dict[str, str | int | float | None] = {
            "files of source": len(tree.source),
            "files of artefacts": len(tree.artefacts),
            "digest of source": tree.digest(tree.source),
            "digest of artefacts": tree.digest(tree.artefacts),
        }
        for name in names:
            work = Path(directory) / name
            work.mkdir()
            check, version = _check(name, SCANNERS[name], tree, policy, work, today)
            checks.append(check)
            if version:
                facts[f"version of {name}"] = version
    return Report(step="security", checks=tuple(checks), facts=facts)


def _check_files(tree: Tree) -> Check:
    return Check(
        name="files",
        verdict="fail" if tree.links else "pass",
        found=f"{len(tree.source)} of source, {len(tree.artefacts)} of artefacts, {len(tree.links)} links",
        limit="no links: where one leads can change after the scan",
        advice="Put the file itself in the link's place." if tree.links else "",
        findings=tuple(Finding(id="link", where=one_line(link), what="a link, or no file") for link in tree.links)[
            :MAX_FINDINGS
        ],
    )


def _check(
    name: str, scanner: Scanner, tree: Tree, policy: SecurityPolicy, work: Path, today: date
) -> tuple[Check, str]:
    """Return the check and the tool's version, "" for a rule of our own."""
    files = tuple(scanner.files(tree, policy))
    limit = f"no {policy.fail_at} or worse"
    version = ""
    try:
        if not files and scanner.needs_files:
            raise ScannerFailed("expected files to look at, found none")
        if not files:
            reading = Reading()
        elif isinstance(scanner.by, Tool):
            reading, version = scanner.by.run(Job(tree=tree, files=files, policy=policy, work=work))
        else:
            reading = scanner.by(tree, files, policy)
    except ScannerFailed as failure:
        return Check(
            name=name,
            verdict="fail",
            found=f"could not be made: {failure}",
            limit=limit,
            advice=f"To have it: {scanner.install}." if scanner.install else scanner.advice,
            reference=scanner.reference,
        ), version
    judged = _judge(reading, policy, today)
    return Check(
        name=name,
        verdict=judged.verdict,
        found=f"{scanner.looks_for}: {judged.summary}, in {len(files)} {scanner.of}",
        limit=limit,
        advice="" if judged.verdict == "pass" else " ".join((scanner.advice, *judged.notes)),
        reference=scanner.reference,
        findings=judged.findings[:MAX_FINDINGS],
    ), version


@dataclass(frozen=True)
class _Judged:
    verdict: Verdict
    summary: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def _judge(reading: Reading, policy: SecurityPolicy, today: date) -> _Judged:
    """Hold a reading against the policy; findings below its limit are counted and not shown."""
    limit = SEVERITIES.index(policy.fail_at)
    serious = sorted((each for each in reading.found if each.rank >= limit), key=lambda each: -each.rank)
    open_findings, waived, notes = [], [], dict[str, None]()
    for each in serious:
        fitting = [waiver for waiver in policy.waivers if _fits(waiver, each)]
        good = next((waiver for waiver in fitting if today <= waiver.until), None)
        if good:
            waived.append(_finding(each, f"{good.by}, until {good.until}: {good.reason}"))
            continue
        open_findings.append(_finding(each))
        notes |= {f"The waiver of {old.id} by {old.by} ended on {old.until}.": None for old in fitting}
    unread = [
        Finding(id="unread", where=one_line(where), what="given to look at, and not looked at")
        for where in reading.unread
    ]
    below = len(reading.found) - len(serious)
    parts = [f"{len(open_findings)} found", f"{len(waived)} waived", f"{below} below the limit"]
    parts += [f"{len(unread)} not looked at"] if unread else []
    verdict: Verdict = "fail" if open_findings or unread else "waived" if waived else "pass"
    return _Judged(verdict, ", ".join(parts), (*unread, *open_findings, *waived), tuple(notes))


def _fits(waiver: Waiver, found: Found) -> bool:
    return waiver.id == found.id and fnmatchcase(found.where, waiver.where)


def _finding(found: Found, waived_by: str = "") -> Finding:
    what = one_line(f"{found.severity}: {found.what}")
    return Finding(id=one_line(found.id), where=one_line(found.where), what=what, waived_by=waived_by)
