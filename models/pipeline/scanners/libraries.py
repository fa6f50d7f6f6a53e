"""Which libraries, and from where: each pinned by version and hash, from the installer's own index, on the list."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import UndefinedEnvironmentName
from packaging.utils import canonicalize_name
from pip_requirements_parser import InstallRequirement, PipError, RequirementsFile

from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.scanners.reading import Found, Reading, ScannerFailed, one_line
from models.pipeline.scanners.tree import Tree


@dataclass(frozen=True)
class Locked:
    """One line of a lock file; `used` on this machine and Python, as its marker says."""

    name: str
    version: str
    used: bool


def read_libraries(tree: Tree, files: tuple[str, ...], policy: SecurityPolicy) -> Reading:
    """Look at lock files in the form of pip's requirements."""
    listed: set[str] = {canonicalize_name(name) for name in policy.libraries}
    found = [finding for file in files for finding in _faults(tree.root / file, tree.place(file), listed)]
    return Reading(tuple(found))


def packages(tree: Tree, files: tuple[str, ...]) -> set[str]:
    """Return what the locks install here, as "name version"."""
    return {
        f"{package.name} {package.version}" for file in files for package in _locked(tree.root / file) if package.used
    }


def _locked(file: Path) -> Iterator[Locked]:
    for requirement in _read(file).requirements:
        if requirement.name:
            yield Locked(canonicalize_name(requirement.name), _version(requirement), _used(requirement))


def _faults(file: Path, place: str, listed: set[str]) -> Iterator[Found]:
    lock = _read(file)
    for line in lock.invalid_lines:
        yield _found(
            "library-unreadable", f"{place}:{line.requirement_line.line_number}", "expected a requirement of pip's form"
        )
    for option in lock.options:
        names = ", ".join(sorted(option.options))
        yield _found(
            "library-source", f"{place}:{option.requirement_line.line_number}", f"expected no options, got {names}"
        )
    for requirement in lock.requirements:
        name = canonicalize_name(requirement.name or "") or "a package without a name"
        where = f"{place}: {name}"
        if requirement.link or requirement.is_editable:
            yield _found("library-source", where, "expected a package of the index, got an address or a path")
        elif not _version(requirement):
            yield _found("library-unpinned", where, "expected one version, pinned by ==")
        if not any(hash.startswith("sha256:") for hash in requirement.hash_options):
            yield _found("library-without-hash", where, "expected a SHA-256")
        if listed and name not in listed:
            yield _found("library-unlisted", where, "expected a library of the policy's list")


def _read(file: Path) -> RequirementsFile:
    try:
        return RequirementsFile.from_file(str(file))
    except (ValueError, PipError):
        raise ScannerFailed(f"{file.name}: expected a lock file in the form of pip's requirements") from None


def _version(requirement: InstallRequirement) -> str:
    """Return the only version that fits, or nothing."""
    specifiers = list(requirement.specifier or ())
    pinned = len(specifiers) == 1 and specifiers[0].operator == "==" and "*" not in specifiers[0].version
    return specifiers[0].version if pinned else ""


def _used(requirement: InstallRequirement) -> bool:
    try:
        return requirement.marker is None or bool(requirement.marker.evaluate())
    except UndefinedEnvironmentName:
        return True


def _found(id: str, where: str, what: str) -> Found:
    return Found(id=id, where=one_line(where), what=one_line(what), severity="high")
