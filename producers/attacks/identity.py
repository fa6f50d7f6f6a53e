"""Who says that he wrote it: records of no source, of a source that others hold the key of, changed on their way."""

import msgspec

from contracts.mac import KEY_ID_HEADER, MAC_HEADER, SECRET_BYTES, compute_mac
from contracts.reasons import Reason
from producers.attacks.attack import Scenario
from producers.attacks.attacker import Attacker, rewritten
from producers.sign import Signer
from producers.sources import Headers, SourceRecord


def unsigned(attacker: Attacker) -> Scenario:
    """Events in the name of a known source, without a MAC."""
    # Whether a worker refuses or scores these is its setting `require_mac`, so they expect neither.
    return lambda seen, at_ms: _with_headers(attacker.event_like(seen, at_ms), [])


def unknown_source(attacker: Attacker) -> Scenario:
    """Events of a clinic that nobody gave a key, without a MAC."""
    source = f"clinic-{attacker.rng.randbytes(4).hex()}/ward"
    return lambda seen, at_ms: _with_headers(attacker.event_like(seen, at_ms, source=source), [])


def unknown_key(attacker: Attacker) -> Scenario:
    """Events in the name of a known source, with a MAC by a key that the attacker made himself."""
    key_id, secret = attacker.rng.randbytes(4).hex().encode(), attacker.rng.randbytes(SECRET_BYTES)

    def act(seen: SourceRecord, at_ms: int) -> SourceRecord:
        forged = attacker.event_like(seen, at_ms)
        mac = compute_mac(secret, forged.key or b"", forged.value or b"")
        return _refused(forged, Reason.MAC_KEY_UNKNOWN, [(KEY_ID_HEADER, key_id), (MAC_HEADER, mac)])

    return act


def borrowed_key(attacker: Attacker) -> Scenario:
    """Events in the name of another hospital, with a valid MAC by the key of one's own."""
    signer = _signer(attacker)

    def act(seen: SourceRecord, at_ms: int) -> SourceRecord:
        forged = attacker.event_like(seen, at_ms, source="other-hospital/ward")
        return _refused(forged, Reason.SOURCE_NOT_BOUND, signer.headers(seen.source, forged.key, forged.value))

    return act


def tampered(attacker: Attacker) -> Scenario:
    """Events of a source changed after it signed them: an age that is ten years less."""
    signer = _signer(attacker)

    def act(seen: SourceRecord, _: int) -> SourceRecord:
        headers = seen.headers or signer.headers(seen.source, seen.key, seen.value)
        age = msgspec.json.decode(seen.value or b"")["features"]["age"]
        younger = 50 if age is None else age - 10 if age >= 28 else age + 10
        return _refused(rewritten(seen, features={"age": younger}), Reason.MAC_WRONG, headers)

    return act


def _signer(attacker: Attacker) -> Signer:
    if attacker.signer is None:
        raise ValueError("signer: expected one for an attack that uses a source's key, got none")
    return attacker.signer


def _with_headers(record: SourceRecord, headers: Headers) -> SourceRecord:
    return msgspec.structs.replace(record, headers=headers)


def _refused(record: SourceRecord, reason: Reason, headers: Headers) -> SourceRecord:
    return msgspec.structs.replace(record, event_id="", expected=reason, headers=headers)
