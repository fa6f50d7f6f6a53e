"""Checks the form of identifiers over a whole batch, by table look-ups instead of regular expressions."""

import re
from collections.abc import Sequence

import numpy as np


class FixedForm:
    """A form of fixed length, one character class a position, as in ``[0-9a-f]{8}-[0-9a-f]{4}``.

    >>> FixedForm(r"p_[ab]{2}").bad(["p_ab", "p_ac", "p_", "p_ba"])
    [1, 2]
    """

    def __init__(self, pattern: str) -> None:
        tokens = re.findall(r"(\[[^\]]+\]|[^\[{}])(?:\{(\d+)\})?", pattern)
        positions = [token for token, repeat in tokens for _ in range(int(repeat or 1))]
        classes = sorted(set(positions))
        if len(classes) > 8:
            raise ValueError(f"form {pattern!r}: expected at most 8 different character classes, got {len(classes)}")
        self.length = len(positions)
        # One bit a class: which classes a byte is in, and which one a position wants.
        self._classes_of = np.array(
            [
                sum(1 << bit for bit, token in enumerate(classes) if re.fullmatch(token, chr(byte)))
                for byte in range(256)
            ],
            dtype=np.uint8,
        )
        self._wanted = np.array([1 << classes.index(token) for token in positions], dtype=np.uint8)

    def bad(self, texts: Sequence[str]) -> list[int]:
        """Return the positions of the texts that are not of the form."""
        length = self.length
        joined = "".join(texts)
        if set(map(len, texts)) != {length}:
            joined = "".join([text if len(text) == length else "\0" * length for text in texts])
        # "replace" keeps one byte a character; "?" is in no class
        matrix = np.frombuffer(joined.encode("ascii", "replace"), np.uint8).reshape(-1, length)
        good = self._classes_of[matrix] & self._wanted
        return [] if good.all() else np.flatnonzero(~good.all(axis=1)).tolist()
