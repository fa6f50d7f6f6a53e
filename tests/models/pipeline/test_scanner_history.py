"""What git remembers is looked at too: a secret that was taken out is still there for whoever has the repository."""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pytest

from models.pipeline.check import Check
from models.pipeline.scanners.policy import SecurityPolicy, Waiver
from models.pipeline.scanners.scan import scan
from models.pipeline.scanners.tree import Paths
from tests.models.pipeline.test_scanners import tools
from tests.support.scanners import SECRET, clean_source, commit, fake_tool, git

TODAY = date(2026, 11, 23)
PLANTED = f"one = 1\nKEY = '{SECRET}'\n"

__all__ = ["tools"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository of one clean commit."""
    commit(clean_source(tmp_path / "source"))
    return tmp_path / "source"


@pytest.fixture
def policy(tools: Path) -> SecurityPolicy:
    return SecurityPolicy(tools=str(tools))


def check(source: Path, policy: SecurityPolicy) -> Check:
    _, found = scan(Paths(source=source), policy, today=TODAY, only=["gitleaks-history"]).checks
    assert "jane" not in str(msgspec.json.encode(found)).lower()
    assert SECRET not in str(msgspec.json.encode(found))
    return found


def taken_out(source: Path) -> None:
    commit(source, app=PLANTED)
    commit(source, app="one = 1\n")


def on_a_branch(source: Path) -> None:
    git(source, "switch", "--quiet", "--create", "trial")
    commit(source, app=PLANTED)
    git(source, "switch", "--quiet", "main")


def in_a_merge(source: Path) -> None:
    """In neither of the branches that it brings together."""
    git(source, "switch", "--quiet", "--create", "side")
    commit(source, side="pass\n")
    git(source, "switch", "--quiet", "main")
    commit(source, more="pass\n")
    git(source, "merge", "--quiet", "--no-commit", "side")
    commit(source, app=PLANTED)
    commit(source, app="one = 1\n")


def excused_by_the_source(source: Path) -> None:
    (source / ".gitleaks.toml").write_text("[allowlist]\npaths = ['.*']\n")
    commit(source, app=PLANTED.replace("\n", "  # gitleaks:allow\n"))
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True).stdout
    (source / ".gitleaksignore").write_text(f"{head.strip()}:app.py:aws-access-token:2\n")
    commit(source, app="one = 1\n")


def hidden_by_an_attribute(source: Path) -> None:
    (source / ".gitattributes").write_text("*.py -diff diff=ours\n")
    git(source, "config", "diff.ours.textconv", f"touch {source.parent}/ran; true")
    taken_out(source)


@pytest.mark.parametrize(
    "plant",
    [taken_out, on_a_branch, in_a_merge, excused_by_the_source, hidden_by_an_attribute],
    ids=lambda f: f.__name__,
)
def test_a_secret_of_the_past_is_found(plant: Callable[[Path], None], source: Path, policy: SecurityPolicy) -> None:
    plant(source)
    assert SECRET not in (source / "app.py").read_text()
    found = check(source, policy)
    assert found.verdict == "fail"
    assert "Revoke the secret first" in found.advice
    (finding,) = found.findings
    assert finding.id == "aws-access-token"
    assert re.fullmatch(r"app\.py:2 in commit [0-9a-f]{12}", finding.where)
    assert not (source.parent / "ran").exists()


def test_a_person_waives_what_is_revoked(source: Path, policy: SecurityPolicy) -> None:
    taken_out(source)
    waiver = Waiver(id="aws-access-token", where="app.py:*", by="Ada", reason="revoked", until=TODAY)
    assert check(source, msgspec.structs.replace(policy, waivers=(waiver,))).verdict == "waived"


def test_a_clean_history_passes_and_so_does_a_source_without_one(
    source: Path, tmp_path: Path, policy: SecurityPolicy
) -> None:
    commit(source, app="two = 2\n")
    assert check(source, policy).found.endswith("in 1 repositories")
    assert check(source, policy).verdict == "pass"
    found = check(clean_source(tmp_path / "no repository"), policy)
    assert (found.verdict, found.found.endswith("in 0 repositories")) == ("pass", True)


def test_a_history_that_is_cut_off_is_no_pass(source: Path, tmp_path: Path, policy: SecurityPolicy) -> None:
    taken_out(source)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{source}", "shallow")
    found = check(tmp_path / "shallow", policy)
    assert found.verdict == "fail"
    assert "`git fetch --unshallow` brings it" in found.found


def without_objects(source: Path) -> None:
    for each in (source / ".git" / "objects").glob("??/*"):
        each.unlink()


def without_head(source: Path) -> None:
    (source / ".git" / "HEAD").unlink()


@pytest.mark.parametrize("spoil", [without_objects, without_head], ids=lambda f: f.__name__)
def test_what_git_cannot_read_is_no_pass(spoil: Callable[[Path], None], source: Path, policy: SecurityPolicy) -> None:
    spoil(source)
    found = check(source, policy)
    assert found.verdict == "fail"
    assert found.found.startswith("could not be made: expected ")


def test_without_git_it_is_no_pass(source: Path, policy: SecurityPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(source))
    found = check(source, policy)
    assert found.found == "could not be made: expected git on PATH: No such file or directory"
    assert found.advice.startswith("To have it: git, ")


def test_gitleaks_that_ends_well_and_says_that_git_failed_is_no_pass(source: Path, tmp_path: Path) -> None:
    """Gitleaks writes an empty report then, and its exit code is that of a clean one."""
    clean = json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "gitleaks"}}, "results": []}]})
    fake = fake_tool(tmp_path / "tools", "gitleaks", report=clean)
    found = check(source, SecurityPolicy(tools=str(fake)))
    assert found.verdict == "fail"
    assert "expected git's whole history, got: what the tool says last" in found.found
