"""Why a record is in quarantine. The values are on the wire: add new ones, never change one."""

from enum import StrEnum


class Reason(StrEnum):
    """One reason a record, the first check that it failed in the order of this list."""

    EMPTY = "empty"  # a null value or one of no bytes
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"  # includes NaN and infinities, which JSON does not have
    SCHEMA = "schema"  # a wrong type, an unknown or missing field, a number beyond 64 bits
    IDENTIFIER = "identifier"  # an event id or a source that is not of its form
    PSEUDONYM = "pseudonym"  # a patient id that is not a pseudonym: a raw record number, a name
    KEY_MISMATCH = "key_mismatch"  # the record's key is not its patient id
    HEADERS = "headers"  # a header whose name is not UTF-8
    MAC_MISSING = "mac_missing"
    MAC_KEY_UNKNOWN = "mac_key_unknown"
    MAC_WRONG = "mac_wrong"
    SOURCE_NOT_BOUND = "source_not_bound"  # a valid MAC by a key that may not speak for this source
    BLOCKED = "blocked"  # its source is blocked or its key revoked while an incident is contained
    FUTURE = "future"  # observed later than the allowed clock skew
    REPEATED = "repeated"  # an event id that came before, with other bytes
    OUT_OF_RANGE = "out_of_range"  # a feature outside its hard range or not one of its codes


SHIP_REASONS = ("undecodable", "refused")
"""Why a record is in ship-rejects: it is not what its topic holds, or Elasticsearch refused its document."""
