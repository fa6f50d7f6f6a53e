"""Results in SARIF 2.1.0, the form that most scanners share (OASIS, Static Analysis Results Interchange Format)."""

from collections.abc import Callable

import msgspec

from models.pipeline.scanners.policy import Severity
from models.pipeline.scanners.reading import Found, Reading, one_line, severity_named, severity_of_score


class Text(msgspec.Struct, frozen=True):
    text: str = ""


class RuleProperties(msgspec.Struct, frozen=True, rename="kebab"):
    """`security_severity` is a CVSS score as text; GitHub's convention, which Trivy, Grype and OSV-Scanner follow."""

    security_severity: str | float = ""


class Configuration(msgspec.Struct, frozen=True):
    level: str = "warning"


class SarifRule(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    short_description: Text = Text()
    default_configuration: Configuration = Configuration()
    properties: RuleProperties = RuleProperties()


class Artifact(msgspec.Struct, frozen=True):
    uri: str = ""


class Region(msgspec.Struct, frozen=True, rename="camel"):
    start_line: int = 0


class Physical(msgspec.Struct, frozen=True, rename="camel"):
    artifact_location: Artifact = Artifact()
    region: Region = Region()


class Location(msgspec.Struct, frozen=True, rename="camel"):
    physical_location: Physical = Physical()


class Fingerprints(msgspec.Struct, frozen=True, rename="camel"):
    """Gitleaks names the commit here; who made it stands beside and is not read."""

    commit_sha: str = ""


class Result(msgspec.Struct, frozen=True, rename="camel"):
    rule_id: str
    message: Text = Text()
    level: str = ""
    locations: tuple[Location, ...] = ()
    partial_fingerprints: Fingerprints = Fingerprints()


class Driver(msgspec.Struct, frozen=True):
    name: str
    rules: tuple[SarifRule, ...] = ()


class SarifTool(msgspec.Struct, frozen=True):
    driver: Driver


class Notice(msgspec.Struct, frozen=True):
    level: str = "warning"
    message: Text = Text()


class Invocation(msgspec.Struct, frozen=True, rename="camel"):
    execution_successful: bool = True
    tool_execution_notifications: tuple[Notice, ...] = ()


class Run(msgspec.Struct, frozen=True):
    tool: SarifTool
    results: tuple[Result, ...]
    invocations: tuple[Invocation, ...] = ()


class Sarif(msgspec.Struct, frozen=True):
    version: str
    runs: tuple[Run, ...]


def read_sarif(
    report: bytes, place: Callable[[str], str], *, severity: Severity | None = None, messages: bool = False
) -> Reading:
    """Return the results of a SARIF document; raise `msgspec.DecodeError` if it is none.

    `severity` is for tools that give none. What is said is the rule's description; with `messages` the result's, for
    tools whose message names a package and never a content.
    """
    document = msgspec.json.decode(report, type=Sarif)
    if document.version != "2.1.0" or not document.runs:
        raise msgspec.ValidationError(f"expected runs in SARIF 2.1.0, got {len(document.runs)} in another or none")
    found: list[Found] = []
    unread: list[str] = []
    for run in document.runs:
        rules = {rule.id: rule for rule in run.tool.driver.rules}
        for result in run.results:
            rule = rules.get(result.rule_id, SarifRule(id=result.rule_id))
            found.append(
                Found(
                    id=result.rule_id,
                    where=_where(result, place),
                    what=one_line((result.message if messages else rule.short_description).text) or result.rule_id,
                    severity=severity or _severity(result, rule),
                )
            )
        for invocation in run.invocations:
            unread += [
                one_line(notice.message.text)
                for notice in invocation.tool_execution_notifications
                if notice.level == "error"
            ]
            if not invocation.execution_successful:
                unread.append(f"{run.tool.driver.name} did not come to its end")
    return Reading(tuple(found), tuple(unread))


def _severity(result: Result, rule: SarifRule) -> Severity:
    score = rule.properties.security_severity
    if not score:
        return severity_named(result.level or rule.default_configuration.level)
    try:
        return severity_of_score(float(score))
    except ValueError:
        return "critical"


def _where(result: Result, place: Callable[[str], str]) -> str:
    if not result.locations:
        return "nowhere in particular"
    physical = result.locations[0].physical_location
    line, commit = physical.region.start_line, result.partial_fingerprints.commit_sha
    where = place(physical.artifact_location.uri) + (f":{line}" if line else "")
    return f"{where} in commit {commit[:12]}" if commit else where
