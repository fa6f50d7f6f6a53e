"""What was downloaded is a graph of listed operators or plain text; anything else may run when it is opened."""

from pathlib import Path

from models.artefact import fault
from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.scanners.reading import Found, Reading
from models.pipeline.scanners.tree import Tree


def read_artefacts(tree: Tree, files: tuple[str, ...], policy: SecurityPolicy) -> Reading:
    """Look at every file, by its name and its bytes."""
    found = []
    for file in files:
        what = _fault(tree.root / file, policy.artefact_formats)
        if what:
            found.append(Found(id="foreign-artefact", where=tree.place(file), what=what, severity="critical"))
    return Reading(tuple(found))


def _fault(file: Path, formats: tuple[str, ...]) -> str | None:
    if file.suffix not in formats:
        return f"expected one of the formats {', '.join(formats)}"
    if file.suffix == ".onnx":
        return fault(file.read_bytes())
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        return "expected text in UTF-8"
    return "expected text, got control characters" if "\0" in text else None
