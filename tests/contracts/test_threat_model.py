"""docs/threat-model.md: attack, control, test. Each row names tests, and each test that it names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "docs" / "threat-model.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("| threat", "|---"))
]


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip()[:60] for row in ROWS])
def test_every_row_names_tests_that_are_there(row: str) -> None:
    named = re.findall(r"(test_\w+\.py)(?:::(\w+))?", row.split("|")[3])
    assert named
    for name, test in named:
        files = list((ROOT / "tests").rglob(name))
        assert any(f"def {test}(" in file.read_text() or not test for file in files), f"{name}::{test}"
