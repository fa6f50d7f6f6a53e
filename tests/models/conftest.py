"""Copies of the session's bundle to damage."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Trained


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the bundle to damage."""
    return Path(shutil.copytree(trained.bundle, tmp_path / "bundle"))
