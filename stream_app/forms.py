"""Checks the form of identifiers over a whole batch: a table look-up a byte instead of a regular expression a record."""

import re
from collections.abc import Sequence

import numpy as np


class FixedForm:
    """A form of fixed length: one character class a position, as in ``[0-9a-f]{8}-[0-9a-f]{4}`` or ``pp1_[a-z2-7]{26}``.

    >>> FixedForm(r"p_[ab]{2}").bad(["p_ab", "p_ac", "p_", "p_ba"])
    [1, 2]
    """

    def __init__(self, pattern: str) -> None:
        classes: list[np.ndarray[tuple[int], np.dtype[np.bool_]]] = []
        for token, repeat in re.findall(r"(\[[^\]]+\]|[^\[{}])(?:\{(\d+)\})?", pattern):
            matches = re.compile(token)
            allowed = np.array([matches.fullmatch(chr(byte)) is not None for byte in range(256)])
            classes.extend([allowed] * int(repeat or 1))
        self.length = len(classes)
        self._allowed = np.array(classes)
        self._columns = np.arange(self.length)

    def bad(self, texts: Sequence[str]) -> list[int]:
        """Return the positions of the texts that are not of the form."""
        length = self.length
        joined = "".join(texts)
        if len(joined) != length * len(texts) or set(map(len, texts)) - {length}:
            joined = "".join([text if len(text) == length else "\0" * length for text in texts])
        # "replace" keeps one byte a character; "?" is in no class
        matrix = np.frombuffer(joined.encode("ascii", "replace"), np.uint8).reshape(-1, length)
        good = self._allowed[self._columns, matrix].all(axis=1)
        return [] if good.all() else np.flatnonzero(~good).tolist()
