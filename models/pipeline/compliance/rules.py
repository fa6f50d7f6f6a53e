"""The rules of rules.toml: what headings and text may give away, compiled."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import msgspec

from models.pipeline.compliance.numbers import CHECKS
from models.pipeline.compliance.policy import Category

_NEAR_CHARS = 40


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of data; the fields are explained at the top of rules.toml."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+(-[a-z0-9]+)*$")]
    category: Category
    title: str
    headings: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    near_patterns: tuple[str, ...] = ()
    case: bool = False
    check: Literal["", "telephone", "national", "network", "iban", "card", "vehicle"] = ""
    remedy: Literal["mask", "empty"] = "mask"
    safe_harbor: str = ""


class Matcher:
    """A rule that reads text. Patterns repeat within bounds only, so that the time grows with the text's length."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        flags = re.NOFLAG if rule.case else re.IGNORECASE
        self._anywhere = re.compile("|".join(rule.patterns), flags) if rule.patterns else None
        self._nearby = re.compile("|".join(rule.near_patterns), flags) if rule.near_patterns else None
        self._near = re.compile(rf"\b(?:{'|'.join(map(re.escape, rule.near))})\b", re.IGNORECASE)
        self._check = CHECKS[rule.check] if rule.check else None

    def find(self, text: str, heading: str, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
        """Yield where in `text` the rule finds something: start and end."""
        if self._anywhere:
            for match in self._anywhere.finditer(text):
                if not self._check or self._check(match.group(), regions):
                    yield match.span()
        if self._nearby and (self._near.search(heading) or self._near.search(text)):
            for match in self._nearby.finditer(text):
                before = f"{heading} {text[max(0, match.start() - _NEAR_CHARS) : match.start()]}"
                if self._near.search(before) and (not self._check or self._check(match.group(), regions)):
                    yield match.span()


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""

    rules: tuple[Rule, ...]


@cache
def load_rules() -> dict[str, Rule]:
    """Return the rules that come with the program, by id."""
    text = files(__package__).joinpath("rules.toml").read_bytes()
    return {rule.id: rule for rule in msgspec.toml.decode(text, type=Rules).rules}


@cache
def matchers() -> tuple[Matcher, ...]:
    """Return what reads text."""
    return tuple(Matcher(rule) for rule in load_rules().values() if rule.patterns or rule.near_patterns)
