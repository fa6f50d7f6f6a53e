"""JSON in, JSON out: strict, and with errors that never repeat what the record held."""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from contracts.errors import InvalidRecord
from contracts.reasons import Reason

T = TypeVar("T")

encode: Callable[[object], bytes] = msgspec.json.Encoder().encode

# What msgspec says may quote what the sender chose: an unknown field's name, a value that is no member of a Literal.
# Only sentences of these forms, which name our own types and fields, go on, and the path, which stands at the end. An
# unknown field's name may look like a path, so nothing goes on of that sentence.
_OURS = re.compile(r"(Expected `[^`]*`, got `[a-z]*`|Object missing required field `[a-z0-9_]*`|Number out of range)")
_PATH = re.compile(r" - at `\$[a-z0-9_.]*`\Z")
_UNKNOWN = "Object contains unknown field "


def decoder(record_type: type[T]) -> Callable[[bytes], T]:
    """Return a strict decoder of `record_type`; what it raises goes to `explain`."""
    return msgspec.json.Decoder(record_type).decode


def explain(error: Exception) -> InvalidRecord:
    """Turn what a decoder raised into the reason for quarantine."""
    match error:
        case InvalidRecord():
            return error
        case msgspec.ValidationError():
            return InvalidRecord(Reason.SCHEMA, _own_words(str(error)))
        case UnicodeDecodeError():
            return InvalidRecord(Reason.NOT_UTF8, "expected UTF-8")
        case RecursionError():
            return InvalidRecord(Reason.NOT_JSON, "expected nesting of a few levels")
        case msgspec.DecodeError():
            if "utf-8" in str(error).lower():
                return InvalidRecord(Reason.NOT_UTF8, "expected UTF-8")
            return InvalidRecord(Reason.NOT_JSON, "expected one JSON object")
        case _:
            raise error


def _own_words(text: str) -> str:
    if text.startswith(_UNKNOWN):
        return "expected no unknown field"
    said, where = _OURS.match(text), _PATH.search(text)
    sentence = said[1][0].lower() + said[1][1:] if said else "expected no invalid value"
    return sentence + (where[0] if where else "")
