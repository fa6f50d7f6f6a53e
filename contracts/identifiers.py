"""The forms of the identifiers on the wire, checkable so that no name or record number can pass for one."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable

PATIENT_ID = r"pp1_[a-z2-7]{26}"
PATIENT_ID_CHARS = 30
EVENT_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
SOURCE = r"[a-z0-9][a-z0-9-]{0,31}(?:/[a-z0-9][a-z0-9-]{0,31}){0,3}"

ORIGIN = r"^[A-Za-z0-9._-]+/[0-9]+/[0-9]+$"
"""Where a record stands: topic/partition/offset."""
DIGEST = "^sha256:[0-9a-f]{64}$"

MAX_RECORD_NUMBER_CHARS = 200
PSEUDONYM_KEY_FILE = "pseudonym.key"


def pseudonym(key: bytes, record_number: str) -> str:
    """Return the keyed pseudonym of a patient, the same for the same key and record number.

    128 bits of HMAC-SHA256 in base32 behind `pp1_`: whoever lacks the key can neither invert it nor test a guess
    (ENISA, Pseudonymisation techniques and best practices, 2019, section 5.1.3).

    >>> pseudonym(bytes(32), "MRN-0001")
    'pp1_xssdvr2bqsvyxqu3qwtw2yloo4'
    """
    if len(key) < 32:
        raise ValueError(f"pseudonym key: expected at least 32 bytes, got {len(key)}")
    if not 0 < len(record_number) <= MAX_RECORD_NUMBER_CHARS:
        raise ValueError(f"record number: expected 1 to {MAX_RECORD_NUMBER_CHARS} characters, got {len(record_number)}")
    digest = hmac.digest(key, record_number.encode(), hashlib.sha256)[:16]
    return "pp1_" + base64.b32encode(digest).decode().rstrip("=").lower()


def is_source(text: str) -> bool:
    """Whether `text` is a source: site/ward/device, lower case, one to four parts."""
    return re.fullmatch(SOURCE, text) is not None


def is_below(source: str, bounds: Iterable[str]) -> bool:
    """Whether a source is one of `bounds` or below it: `uci` has `uci/cleveland` below it.

    >>> is_below("uci/cleveland", ["uci"]), is_below("uci2", ["uci"])
    (True, False)
    """
    return any(source == bound or source.startswith(bound + "/") for bound in bounds)
