"""What is live: the records of model-releases, read in their order, come to one model a role. No I/O.

Every worker that reads the same records under the same first trust root comes to the same models: each record is
judged by what stands before it, and refused ones change nothing.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.errors import ModelRejected
from contracts.releases import (
    BASELINE_TYPE,
    CONTAINMENT_TYPE,
    EVERYTHING,
    RELEASE_TYPE,
    REVOCATION_TYPE,
    ROLES,
    ROOT_TYPE,
    STEP_TYPE,
    Baseline,
    Contained,
    Containment,
    Measure,
    Release,
    Revocation,
    Role,
    Step,
    TrustRoot,
)
from models.trust import (
    Trust,
    has_ended,
    next_root,
    payload_type_of,
    verify_baseline,
    verify_containment,
    verify_release,
    verify_revocation,
    verify_step,
)

Statement = Release | Revocation | Baseline | Containment | TrustRoot | Step


def succession(releases: Sequence[Release]) -> Sequence[Release]:
    """Return those of a role's `releases`, oldest first, that led to the last one, in the same order.

    To release an earlier bundle again is to go back to it: its own earlier release and all after that are left out.
    """
    line: list[Release] = []
    for release in releases:
        earlier = (place for place, each in enumerate(line) if each.digest == release.digest)
        del line[next(earlier, len(line)) :]
        line.append(release)
    return line


def preferred(role: Role, releases: Sequence[Release]) -> Sequence[Release]:
    """Return those of a role's `releases` that may stand for it, the one to prefer first.

    Of champions that somebody went back behind none comes back by itself; models on trial do not succeed each other.
    """
    return tuple(reversed(succession(releases) if role == "champion" else releases))


@dataclass(frozen=True, slots=True)
class Entry:
    """A record that was accepted, the names of those who signed it, and when Kafka took it (epoch milliseconds)."""

    statement: Statement
    signed_by: tuple[str, ...]
    written_ms: int | None = None

    @property
    def at_ms(self) -> int:
        """When it was written; when its signers say that they signed it, where only that is known."""
        return self.statement.created_at if self.written_ms is None else self.written_ms

    @property
    def what(self) -> str:
        """What it is, without a digest: "champion 3", "revocation", "end of block-source st-mary/icu"."""
        match self.statement:
            case TrustRoot() as root:
                return f"trust root {root.version}"
            case Release() as release:
                return f"{release.role} {release.version}"
            case Revocation():
                return "revocation"
            case Baseline() as baseline:
                return f"baseline {baseline.version}" + " withdraws" * (baseline.statistics is None)
            case Containment() as act:
                return f"{'end of ' * act.lifted}{act.measure} {act.subject}"
            case Step() as step:
                return step.stage

    @property
    def digest(self) -> str:
        """The bundle that it is about; empty where it is about none."""
        return "" if isinstance(self.statement, TrustRoot | Containment) else self.statement.digest

    @property
    def reason(self) -> str:
        """Why, in the signers' words; empty for a trust root."""
        return "" if isinstance(self.statement, TrustRoot) else self.statement.reason


@dataclass(frozen=True, slots=True)
class MeasureEntry(Entry):
    """A measure against an incident that was accepted."""

    statement: Containment


class ReleaseLog:
    """The accepted statements so far, and what follows from them.

    `contained` is what workers send to quarantine, replaced whole: another thread may read it.
    """

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self.entries: list[Entry] = []
        self.revoked: set[str] = set()
        self._highest: dict[Role, int] = {}
        self._releases: dict[Role, list[Release]] = {role: [] for role in ROLES}
        self._baselines: dict[str, Baseline] = {}
        self.contained = Contained()
        self._measures: dict[tuple[Measure, str], MeasureEntry] = {}
        self._trust_of: dict[tuple[Role, int], Trust] = {}
        self._seen: set[bytes] = set()

    def read(self, content: bytes, written_ms: int | None = None) -> Entry | None:
        """Take the next record; return what was accepted, None for the very bytes of one that was before.

        `written_ms` is when Kafka took it, epoch milliseconds, for who wants to know.

        Raises `ModelRejected` for a record that changes nothing.
        """
        digest = hashlib.sha256(content).digest()
        if digest in self._seen:
            return None
        before = self.trust
        statement, keys = self._judge(content)
        signers = self.trust.root.signers | before.root.signers
        names = tuple(sorted(signers[key].name for key in keys))
        entry = Entry(statement, names, written_ms)
        if isinstance(statement, Containment):
            entry = MeasureEntry(statement, names, written_ms)
            self._contain(entry)
        self._seen.add(digest)
        self.entries.append(entry)
        return entry

    def candidates(self, role: Role, *, now_ms: int) -> Sequence[Release]:
        """Return the releases that may be loaded for a role, the one to prefer first.

        That is the highest version; those below it are for when it is revoked or cannot be loaded.
        """
        return [
            release
            for release in preferred(role, self._releases[role])
            if release.digest not in self.revoked and not has_ended(self.trust, release, now_ms)
        ]

    def releases(self, role: Role) -> Sequence[Release]:
        """Return every release of a role that was ever accepted, oldest first."""
        return tuple(self._releases[role])

    def succession(self, role: Role) -> Sequence[Release]:
        """Return the releases of a role that led to the last one, oldest first."""
        return succession(self._releases[role])

    def trust_of(self, release: Release) -> Trust:
        """Return the trust root under which a release was accepted: who signed it may have left since."""
        return self._trust_of[release.role, release.version]

    def baseline(self, digest: str) -> Baseline | None:
        """Return what a bundle's stream is compared with, None for the bundle's own reference."""
        newest = self._baselines.get(digest)
        return newest if newest and newest.statistics else None

    def next_baseline_version(self, digest: str) -> int:
        """Return the version that the next baseline of a bundle takes."""
        newest = self._baselines.get(digest)
        return newest.version + 1 if newest else 1

    def in_force(self, measure: Measure, subject: str = EVERYTHING) -> MeasureEntry | None:
        """Return the statement by which a measure is in force, None where it is not."""
        entry = self._measures.get((measure, subject))
        return entry if entry and not entry.statement.lifted else None

    def measures(self) -> Sequence[MeasureEntry]:
        """Return the statements of all measures in force."""
        return [entry for entry in self._measures.values() if not entry.statement.lifted]

    def next_measure_version(self, measure: Measure, subject: str) -> int:
        """Return the version that the next statement of a measure takes."""
        entry = self._measures.get((measure, subject))
        return entry.statement.version + 1 if entry else 1

    def next_version(self, role: Role) -> int:
        """Return the version that the next release of a role takes."""
        return self._highest.get(role, 0) + 1

    def _judge(self, content: bytes) -> tuple[Statement, frozenset[str]]:
        """Return what a record says and the keys of those who signed it."""
        match payload_type_of(content):
            case kind if kind == ROOT_TYPE:
                self.trust, by = next_root(self.trust, content)
                return self.trust.root, by
            case kind if kind == REVOCATION_TYPE:
                revocation, by = verify_revocation(self.trust, content)
                self.revoked.add(revocation.digest)
                return revocation, by
            case kind if kind == RELEASE_TYPE:
                release, by = verify_release(self.trust, content, self._highest)
                self._check_freeze(release, by)
                self._highest[release.role] = release.version
                self._releases[release.role].append(release)
                self._trust_of[release.role, release.version] = self.trust
                self.revoked.update(release.revoked)
                return release, by
            case kind if kind == BASELINE_TYPE:
                versions = {digest: baseline.version for digest, baseline in self._baselines.items()}
                baseline, by = verify_baseline(self.trust, content, versions)
                self._baselines[baseline.digest] = baseline
                return baseline, by
            case kind if kind == CONTAINMENT_TYPE:
                acts = {subject: entry.statement.version for subject, entry in self._measures.items()}
                return verify_containment(self.trust, content, acts)
            case kind if kind == STEP_TYPE:
                return verify_step(self.trust, content)
            case _:
                raise ModelRejected("record: expected a statement about a model or a trust root, got another")

    def _contain(self, entry: MeasureEntry) -> None:
        self._measures[entry.statement.measure, entry.statement.subject] = entry
        self.contained = Contained(self._subjects("block-source"), self._subjects("revoke-key"))

    def _subjects(self, measure: Measure) -> frozenset[str]:
        return frozenset(each.statement.subject for each in self.measures() if each.statement.measure == measure)

    def _check_freeze(self, release: Release, by: Iterable[str]) -> None:
        """While retraining is frozen a release needs a person who may release it among its signers."""
        signers = [self.trust.root.signers[key] for key in by]
        persons = [each for each in signers if each.kind == "person" and release.role in each.roles]
        if self.in_force("freeze-retraining") and not persons:
            raise ModelRejected(
                f"release {release.role} {release.version}: expected a person among its signers while retraining is "
                "frozen, got none"
            )
