"""The headers that say which source wrote a record."""

from contracts.mac import KEY_ID_HEADER, MAC_HEADER, Keyring, compute_mac
from producers.sources import Headers


class Signer:
    """Signs records by the newest key of their source."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._keys: dict[str, tuple[bytes, bytes]] = {}

    def headers(self, source: str, key: bytes | None, value: bytes | None) -> Headers:
        """Return the headers of a record of `source`; a null key or value is signed as an empty one.

        Raises `UserError` when the keyring has no key for `source`.
        """
        known = self._keys.get(source)
        if known is None:
            source_key = self._keyring.key_for(source)
            known = self._keys[source] = (source_key.key_id.encode(), source_key.secret)
        key_id, secret = known
        return [(KEY_ID_HEADER, key_id), (MAC_HEADER, compute_mac(secret, key or b"", value or b""))]
