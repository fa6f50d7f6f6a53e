"""What git remembers of a source: a secret that was taken out later can still be read by whoever has the repository.

The history is cloned first: no setting of the scanned repository, no attribute and no hook has a say in what is read.
"""

import os
import subprocess
from pathlib import Path

from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.scanners.reading import Reading, ScannerFailed, one_line
from models.pipeline.scanners.sarif import read_sarif
from models.pipeline.scanners.tool import Job
from models.pipeline.scanners.tree import Tree


def repositories(tree: Tree, _: SecurityPolicy) -> list[str]:
    """Return the repository that the source is, if it is one."""
    return [] if tree.repository is None else [str(tree.repository)]


def clone_of(job: Job) -> Path:
    """Return where the history lies."""
    return job.work / "history.git"


def clone(job: Job) -> None:
    """Clone every branch, tag and stash; raise `ScannerFailed` where that is not the whole history."""
    (repository,) = job.files
    # Whoever scans may own another account than whoever checked out; git refuses that unless it is told.
    (job.work / ".gitconfig").write_text(f'[safe]\n\tdirectory = "{_quoted(repository)}"\n')
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(job.work),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LANG": "C.UTF-8",
    }
    try:
        done = subprocess.run(
            ["git", "clone", "--quiet", "--mirror", "--no-hardlinks", "--", repository, str(clone_of(job))],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=job.policy.timeout_s,
            check=False,
        )
    except OSError as error:
        raise ScannerFailed(f"expected git on PATH: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ScannerFailed(f"expected a clone within {job.policy.timeout_s:g} s, got none") from None
    if done.returncode:
        said = one_line(done.stderr.decode("utf-8", "replace"))
        raise ScannerFailed(f"expected a repository that can be cloned: {said or done.returncode}")
    if (clone_of(job) / "shallow").exists():
        raise ScannerFailed("expected the whole history, got one that is cut off; `git fetch --unshallow` brings it")


def read_history(job: Job, report: bytes) -> Reading:
    """Read Gitleaks' report. Where git failed on the way, Gitleaks says so and ends well all the same."""
    if said := one_line((job.work / "output").read_text("utf-8", "replace")):
        raise ScannerFailed(f"expected git's whole history, got: {said}")
    return read_sarif(report, lambda path: path, severity="critical")


def _quoted(path: str) -> str:
    return path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
