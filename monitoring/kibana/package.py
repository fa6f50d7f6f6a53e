"""What comes with the program: two files of lines of JSON that docs/write_kibana.py writes; theirs under a prefix."""

import json
import re
from importlib.resources import files
from typing import Any

SAVED_OBJECTS = "saved-objects.ndjson"
DETECTION_RULES = "detection-rules.ndjson"

_OURS = re.compile(r"\bcardiosentry-")
_TITLES = ("title", "name")
_VERSION = re.compile(r"Made by CardioSentry, version (\d+)\.")

Lines = list[dict[str, Any]]


def packaged(file: str, prefix: str = "") -> Lines:
    """Return the lines of a file; with the topics' `prefix` those of the system under it.

    Every name of ours begins with `cardiosentry-`: indices, ids of objects, of rules. The prefix goes before each, and
    behind what people read, so that several systems have a place in one space.
    """
    text = files(__package__).joinpath(file).read_text("utf-8")
    if not prefix:
        return parsed(text)
    lines = parsed(_OURS.sub(f"{prefix}cardiosentry-", text))
    for line in lines:
        named = line.get("attributes", line)
        for key in _TITLES:
            if named.get(key, "").startswith("CardioSentry"):
                named[key] = f"{named[key]} ({prefix.rstrip('-._')})"
    return lines


def parsed(text: str) -> Lines:
    """Return the objects of lines of JSON."""
    return [json.loads(line) for line in text.splitlines() if line]


def written(lines: Lines) -> str:
    """Return objects as lines of JSON."""
    return "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)


def version_in(description: str) -> int:
    """Return the version that a dashboard of ours says it is of; 0 if somebody took that out."""
    found = _VERSION.search(description)
    return int(found[1]) if found else 0
