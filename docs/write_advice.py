"""Write monitoring/advice.toml from the runbooks: `python docs/write_advice.py`. A test says when it is not current."""

import json
import re
from pathlib import Path

RUNBOOKS = Path(__file__).with_name("runbooks")
ADVICE = Path(__file__).parents[1] / "monitoring" / "advice.toml"
_DO = re.compile(r"^\*\*Do:\*\* (.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)


def document() -> str:
    """Return what each runbook says to do, by the rule's id; raise `ValueError` where one says nothing."""
    lines = ["# What a page says to do, by rule. Made from docs/runbooks by docs/write_advice.py.\n\n"]
    for file in sorted(RUNBOOKS.glob("*.md")):
        found = _DO.search(file.read_text("utf-8"))
        if found is None:
            raise ValueError(f"{file}: expected a paragraph that begins with **Do:**")
        text = " ".join(found[1].split())
        lines.append(f"{file.stem} = {json.dumps(text[0].upper() + text[1:], ensure_ascii=False)}\n")
    return "".join(lines)


if __name__ == "__main__":
    ADVICE.write_text(document(), "utf-8")
