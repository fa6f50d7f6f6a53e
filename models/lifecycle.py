"""The life of a bundle as a table, and the audit trail that a release log comes to. No I/O.

Every transition stands on a signed statement: the one that says it, or the one that implies it (a champion retires
when the next one is released). The trail says what happened; a transition outside the table is marked and never hidden:
a statement counts or does not by models/trust.py alone, so that a deleted record changes nothing that workers load.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from contracts.releases import ROLES, Release, Revocation, Role, Step
from models.release_log import Entry, ReleaseLog, preferred

Stage = Literal["candidate", "gated", "stored", "shadow", "challenger", "champion", "retired", "revoked"]

_IN_USE: tuple[Stage, ...] = ("shadow", "challenger", "champion")
_SHOWN: tuple[Stage, ...] = (*reversed(_IN_USE), "stored", "gated", "candidate", "retired", "revoked")

NEXT: Mapping[Stage, tuple[Stage, ...]] = {
    "candidate": ("gated", "revoked"),
    "gated": ("stored", "revoked"),
    "stored": (*_IN_USE, "revoked"),
    "shadow": ("challenger", "champion", "retired", "revoked"),
    "challenger": ("shadow", "champion", "retired", "revoked"),
    "champion": ("shadow", "challenger", "retired", "revoked"),
    "retired": (*_IN_USE, "revoked"),
    "revoked": (),
}
"""Where a bundle may go from each stage; `candidate` is where it begins. Nothing leads out of `revoked`."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A bundle came from one stage to another by a signed statement; `before` is None where none was recorded."""

    digest: str
    before: Stage | None
    after: Stage
    entry: Entry

    @property
    def by_the_table(self) -> bool:
        """Whether the table has this step."""
        return self.after == "candidate" if self.before is None else self.after in NEXT[self.before]


@dataclass(slots=True)
class _Bundles:
    """What the statements so far come to."""

    shadows: int
    steps: dict[str, Stage] = field(default_factory=dict)
    released: dict[Role, list[Release]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)

    def take(self, entry: Entry) -> None:
        match entry.statement:
            case Step() as step:
                self.steps[step.digest] = step.stage
            case Release() as release:
                self.released.setdefault(release.role, []).append(release)
                self.revoked.update(release.revoked)
            case Revocation() as revocation:
                self.revoked.add(revocation.digest)

    def stages(self) -> dict[str, Stage]:
        """Return the stage of every bundle that was ever named."""
        found: dict[str, Stage] = dict(self.steps)
        found |= {release.digest: "retired" for releases in self.released.values() for release in releases}
        held: tuple[tuple[Role, int], ...] = (("shadow", self.shadows), ("challenger", 1), ("champion", 1))
        for role, count in held:  # the highest role last: it names the stage of one that has several
            each = preferred(role, self.released.get(role, []))
            usable = (release.digest for release in each if release.digest not in self.revoked)
            found |= dict.fromkeys(islice(dict.fromkeys(usable), count), role)
        return found | dict.fromkeys(self.revoked, "revoked")


def stages(entries: Sequence[Entry], *, shadows: int) -> dict[str, Stage]:
    """Return the stage of every bundle by its digest; `shadows` is how many of them score at a time."""
    bundles = _Bundles(shadows)
    for entry in entries:
        bundles.take(entry)
    return bundles.stages()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a bundle stands: by which statement it came there, and its newest release to the role that it holds."""

    digest: str
    stage: Stage
    entry: Entry
    release: Release | None


def standings(log: ReleaseLog, *, shadows: int) -> list[Standing]:
    """Return where every bundle stands, those in use first; `shadows` is how many of them score at a time."""
    came = {each.digest: each.entry for each in trail(log.entries, shadows=shadows)}
    found = sorted(stages(log.entries, shadows=shadows).items(), key=lambda item: _SHOWN.index(item[1]))
    return [Standing(digest, stage, came[digest], _newest(log, digest, stage)) for digest, stage in found]


def _newest(log: ReleaseLog, digest: str, stage: Stage) -> Release | None:
    releases = (each for role in ROLES if role == stage for each in reversed(log.releases(role)))
    return next((each for each in releases if each.digest == digest), None)


def trail(entries: Sequence[Entry], *, shadows: int) -> Iterator[Transition]:
    """Yield every transition of every bundle, in the order of the statements."""
    bundles = _Bundles(shadows)
    before: dict[str, Stage] = {}
    for entry in entries:
        bundles.take(entry)
        after = bundles.stages()
        for digest, stage in after.items():
            if before.get(digest) != stage:
                yield Transition(digest, before.get(digest), stage, entry)
        before = after
