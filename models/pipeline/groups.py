"""Groups: which rows are of one patient, so that no patient is on both sides of a split, and no more than that."""

import hashlib
from collections.abc import Sequence

KEY_BYTES = 32


class Groups:
    """Names patients by keyed BLAKE2b (16 bytes). With a fresh key for each snapshot, which nobody keeps, no two
    snapshots can be brought together by patient, and no pseudonym be looked up in one.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"key of groups: expected {KEY_BYTES} bytes, got {len(key)}")
        self._start = hashlib.blake2b(key=key, digest_size=16)

    def of(self, patient_ids: Sequence[str]) -> list[str]:
        """Return each patient's group, 32 hex digits."""
        return [self._name(patient_id) for patient_id in patient_ids]

    def _name(self, patient_id: str) -> str:
        digest = self._start.copy()
        digest.update(patient_id.encode())
        return digest.hexdigest()
