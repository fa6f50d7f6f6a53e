"""JSON in, JSON out: strict, and with errors that never repeat what the record held."""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from contracts.errors import InvalidRecord
from contracts.reasons import Reason

T = TypeVar("T")

encode: Callable[[object], bytes] = msgspec.json.Encoder().encode

# msgspec quotes an unknown field's name, which the sender chose and which may hold anything; paths and types are ours.
_UNKNOWN_FIELD = re.compile(r"unknown field `.*`( - at `\$[a-z_.]*`)?$", re.DOTALL)


def decoder(record_type: type[T]) -> Callable[[bytes], T]:
    """Return a strict decoder of `record_type`: it raises `msgspec.DecodeError` or `UnicodeDecodeError`, see `explain`."""
    return msgspec.json.Decoder(record_type).decode


def explain(error: Exception) -> InvalidRecord:
    """Turn what a decoder raised into the reason for quarantine."""
    match error:
        case InvalidRecord():
            return error
        case msgspec.ValidationError():
            text = str(error)
            if "unknown field" in text:
                found = _UNKNOWN_FIELD.search(text)
                where = found[1] or "" if found else ""
                return InvalidRecord(Reason.SCHEMA, f"expected no unknown field{where}")
            return InvalidRecord(Reason.SCHEMA, text[0].lower() + text[1:])
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
