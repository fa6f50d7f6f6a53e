"""MITRE ATLAS as far as our alerts name it: which tactics a technique serves."""

import functools
from importlib.resources import files
from typing import Any

import msgspec

FRAMEWORK = "MITRE ATLAS"
_SITE = "https://atlas.mitre.org"


class _Technique(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    tactics: tuple[str, ...] = ()


class Atlas(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tactics in the matrix's order, id and name; techniques by id."""

    tactics: dict[str, str]
    techniques: dict[str, _Technique]

    def tactics_of(self, technique: str) -> tuple[str, ...]:
        """Return the ids of a technique's tactics, a sub-technique's by its parent; `KeyError` for one not listed."""
        return self.techniques[technique].tactics or self.techniques[_parent(technique)].tactics

    def cells(self) -> list[dict[str, Any]]:
        """Return the matrix: of each technique and tactic of its, where it stands: `column` and `row` from 0."""
        rows: dict[str, int] = {}
        used = [tactic for tactic in self.tactics if any(tactic in self.tactics_of(each) for each in self.techniques)]
        cells = []
        for technique, about in self.techniques.items():
            for tactic in self.tactics_of(technique):
                row = rows[tactic] = rows.get(tactic, -1) + 1
                cells.append(
                    {
                        "technique": technique,
                        "name": about.name,
                        "tactic": self.tactics[tactic],
                        "column": used.index(tactic),
                        "row": row,
                    }
                )
        return cells

    def threat(self, technique: str) -> list[dict[str, Any]]:
        """Return a technique as a detection rule maps it: an entry for each of its tactics."""
        parent = _parent(technique)
        mapped = self._named(parent, "techniques", self.techniques[parent].name)
        if parent != technique:
            mapped["subtechnique"] = [self._named(technique, "techniques", self.techniques[technique].name)]
        return [
            {
                "framework": FRAMEWORK,
                "tactic": self._named(tactic, "tactics", self.tactics[tactic]),
                "technique": [mapped],
            }
            for tactic in self.tactics_of(technique)
        ]

    def _named(self, id: str, kind: str, name: str) -> dict[str, Any]:
        return {"id": id, "name": name, "reference": f"{_SITE}/{kind}/{id}"}


def _parent(technique: str) -> str:
    """Return the technique that a sub-technique is of, or itself: AML.T0043 of AML.T0043.001."""
    return ".".join(technique.split(".")[:2])


@functools.cache
def atlas() -> Atlas:
    """Return it as it comes with the program."""
    return msgspec.toml.decode(files(__package__).joinpath("atlas.toml").read_bytes(), type=Atlas)
