"""The files under scan, copied first: every scanner sees the same bytes, whatever is changed meanwhile."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import unquote, urlsplit

from contracts.errors import UserError

# One below the directory that a scanner is called with: Gitleaks reads exceptions from the top of that.
SOURCE, ARTEFACTS = "source/files", "artefacts/files"


@dataclass(frozen=True, kw_only=True)
class Paths:
    """What to scan: a directory of `source` (code, locks, notebooks, configuration), one of downloaded `artefacts`."""

    source: Path | None = None
    artefacts: Path | None = None


@dataclass(frozen=True)
class Tree:
    """The copies below `root`; `source` and `artefacts` are paths relative to it, in order.

    `links`, relative to what was given to scan, are not followed and not copied: where one leads can change later.
    `repository` is the source as it was given, where that is the top of a git repository.
    """

    root: Path
    source: tuple[str, ...]
    artefacts: tuple[str, ...]
    links: tuple[str, ...]
    repository: Path | None = None

    def matching(self, *patterns: str) -> list[str]:
        """Return the files of the source whose name fits one of the patterns."""
        return [file for file in self.source if any(fnmatch(Path(file).name, pattern) for pattern in patterns)]

    def digest(self, files: Sequence[str]) -> str:
        """Return the SHA-256 of what `sha256sum` prints of them, in order: what was looked at can be told from it."""
        lines = []
        for file in files:
            with (self.root / file).open("rb") as content:
                lines.append(f"{hashlib.file_digest(content, 'sha256').hexdigest()}  {self.place(file)}\n")
        return "sha256:" + hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def place(self, path: str) -> str:
        """Return a scanner's path or file: address as a person knows it: relative to what was given to scan."""
        path = unquote(urlsplit(path).path) if path.startswith("file:") else path
        root = os.path.realpath(self.root)
        inside = os.path.relpath(os.path.realpath(self.root / path), root)
        for top in (SOURCE, ARTEFACTS):
            if inside.startswith(f"{top}/"):
                return inside.removeprefix(f"{top}/")
        return path if f"{SOURCE}/{path}" in self.source else Path(path).name


def copy_tree(paths: Paths, skip: Sequence[str], root: Path) -> Tree:
    """Copy what `paths` names below `root`, without the directories that `skip` names; raise `UserError`."""
    found: dict[str, list[str]] = {SOURCE: [], ARTEFACTS: []}
    links = []
    for top, path, without in ((SOURCE, paths.source, skip), (ARTEFACTS, paths.artefacts, ())):
        if path is None:
            continue
        if not path.is_dir():
            raise UserError(f"{path}: expected a directory to scan")
        for file in _files(path, without):
            relative = f"{top}/{file.relative_to(path).as_posix()}"
            if file.is_symlink() or not file.is_file():
                links.append(file.relative_to(path).as_posix())
                continue
            copy = root / relative
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(file, copy)
            except OSError as error:
                raise UserError(f"{file}: expected a file that can be read: {error.strerror}") from None
            found[top].append(relative)
    root.mkdir(parents=True, exist_ok=True)
    repository = paths.source.absolute() if paths.source and (paths.source / ".git").exists() else None
    return Tree(root, tuple(sorted(found[SOURCE])), tuple(sorted(found[ARTEFACTS])), tuple(sorted(links)), repository)


def _files(top: Path, skip: Sequence[str]) -> Iterator[Path]:
    """Yield all but directories, and links to directories."""

    def stop(error: OSError) -> None:
        raise UserError(f"{error.filename}: expected a directory that can be read: {error.strerror}")

    for directory, inner, files in os.walk(top, onerror=stop):
        inner[:] = sorted(name for name in inner if not any(fnmatch(name, pattern) for pattern in skip))
        yield from (Path(directory, name) for name in inner if Path(directory, name).is_symlink())
        yield from (Path(directory, name) for name in files)
