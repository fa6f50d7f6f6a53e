"""What notebooks carry along: outputs, attachments, people's data in cells. Secrets are Gitleaks' to find."""

import json
import re
from collections.abc import Iterator
from typing import Any

import nbformat

from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.scanners.reading import Found, Reading
from models.pipeline.scanners.tree import Tree

# Shapes that are a person's wherever they stand; names and free text need a reader.
PERSONAL = {
    "personal-email": re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b"),
    "personal-phone": re.compile(r"(?<![\w.])\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}(?![\w.])"),
    "personal-us-ssn": re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])"),
    "personal-record-number": re.compile(r"\bM\.?R\.?N\.?\W{0,3}\d{5,}\b", re.IGNORECASE),
}


def read_notebooks(tree: Tree, files: tuple[str, ...], policy: SecurityPolicy) -> Reading:
    """Any output is a finding: tables and pictures of patients are not told from others by a rule."""
    del policy
    found: list[Found] = []
    unread: list[str] = []
    for file in files:
        place = tree.place(file)
        try:
            # Conversion from older forms drops what it does not know: those are not read at all.
            notebook = nbformat.read(tree.root / file, nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
            known = notebook.nbformat == 4
            nbformat.validate(notebook)
        except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
            known = False
        if known:
            found += _faults(notebook, place)
        else:
            unread.append(f"{place}: expected a notebook (nbformat 4)")
    return Reading(tuple(found), tuple(unread))


def _faults(notebook: Any, place: str) -> Iterator[Found]:
    for number, cell in enumerate(notebook.cells, 1):
        where = f"{place}: cell {number}"
        outputs = cell.get("outputs", [])
        if outputs:
            yield _found("notebook-output", where, f"expected no outputs, got {len(outputs)}")
        if cell.get("attachments"):
            yield _found("notebook-attachment", where, f"expected no attachments, got {len(cell.attachments)}")
        text = {"the source": cell.source, "the outputs": json.dumps(outputs, ensure_ascii=False)}
        for part, content in text.items():
            for id, pattern in PERSONAL.items():
                if hits := len(pattern.findall(content)):
                    yield Found(id=id, where=where, what=f"{hits} in {part}", severity="high")
    if notebook.metadata.get("widgets"):
        yield _found("notebook-output", place, "expected no state of widgets")


def _found(id: str, where: str, what: str) -> Found:
    return Found(id=id, where=where, what=what, severity="medium")
