"""Scanning again what is live: findings that were not there the last time become alerts."""

import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cli.kafka import write
from cli.releasing import now_ms, read_releases
from contracts.alerts import Rule, alert
from contracts.codec import encode
from contracts.errors import UserError
from contracts.releases import ROLES
from contracts.settings import Settings
from contracts.topics import SECURITY_ALERTS
from models.pipeline.check import Finding, Report
from models.pipeline.run import write_whole
from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.scanners.scan import scan
from models.pipeline.scanners.tree import Paths
from models.store import fetch, open_store

RULE = Rule("rescan-finding", "A scan found what was not there before", "1", "docs/runbooks/rescan-finding.md")


def rescan(
    settings: Settings, policy: SecurityPolicy, source: Path, told: Path
) -> tuple[Report, list[tuple[str, Finding]]]:
    """Scan the source and the files of every model in use; return the report, and what is new with its check.

    A failed check without a finding, a scanner that did not look say, is new once too. Alerts are written before
    `told` remembers them: what was not written is told again.
    """
    with tempfile.TemporaryDirectory(prefix="cardiosentry-rescan-") as directory:
        artefacts = Path(directory)
        models = _fetch_live(settings, artefacts)
        report = scan(Paths(source=source, artefacts=artefacts), policy, today=datetime.now(UTC).date())
    before = _read(told)
    found: dict[str, tuple[str, Finding]] = {}
    for check in report.checks:
        unlooked = Finding(id="not-scanned", where=check.name, what=check.found)
        for finding in check.findings or ((unlooked,) if check.verdict == "fail" else ()):
            if not finding.waived_by:
                found[f"{check.name} {finding.id} {finding.where}"] = (check.name, finding)
    new = [each for name, each in found.items() if name not in before]
    _tell(settings, new, models)
    told.parent.mkdir(parents=True, exist_ok=True)
    write_whole(told, msgspec.json.encode(sorted(found)))
    return report, new


def _fetch_live(settings: Settings, directory: Path) -> list[str]:
    """Write the files of every model in use below `directory`, and return the models' digests."""
    log, store = read_releases(settings), open_store(settings.store)
    live = {release.digest: release for role in ROLES for release in log.candidates(role, now_ms=now_ms())[:1]}
    for digest, release in live.items():
        place = directory / digest.removeprefix("sha256:")[:12]
        place.mkdir()
        for name, content in fetch(store, release).items():
            (place / name).write_bytes(content)
    return sorted(live)


def _tell(settings: Settings, new: list[tuple[str, Finding]], models: list[str]) -> None:
    if not new:
        return
    alerts = (
        alert(
            RULE,
            f"{RULE.name}: {check}: {finding.id} at {finding.where}",
            at_ms=now_ms(),
            dataset="security",
            severity="high",
            technique=("AML.T0010", "AI Supply Chain Compromise"),
            labels={"source": "rescan", "check": check, "finding": finding.id, "where": finding.where}
            | ({"models": " ".join(models)} if models else {}),
            id=hashlib.sha256(f"{RULE.id} {check} {finding.id} {finding.where}".encode()).hexdigest()[:32],
        )
        for check, finding in new
    )
    write(settings, SECURITY_ALERTS, ((b"rescan", encode(each)) for each in alerts), "the alerts")


def _read(told: Path) -> frozenset[str]:
    try:
        return frozenset(msgspec.json.decode(told.read_bytes(), type=list[str]))
    except FileNotFoundError:
        return frozenset()
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"{told}: expected what was found before, got: {error}; move it away to begin anew") from None
