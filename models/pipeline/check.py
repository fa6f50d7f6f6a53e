"""What a step of the pipeline found: checks, each with its evidence, the policy's limit and a verdict."""

from typing import Literal

import msgspec

Verdict = Literal["pass", "fail", "waived"]
"""A check that could not be made is a "fail": what nobody looked at is not clean. "waived" is what a person lets pass
in the policy, and a comparison with the champion that no data could make fair (champion.py).
"""


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that was found, and where: a file and line, a column, a package. Never the value itself.

    `id` names the kind of finding (a rule, a vulnerability), so that a waiver can name it.
    """

    id: str
    where: str
    what: str
    waived_by: str = ""


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One check: what was `found`, in numbers, against the `limit` that the policy sets.

    `advice` is what a person should do where it is not a pass. `reference` is the paper, law or technique that the
    check rests on.
    """

    name: str
    verdict: Verdict
    found: str
    limit: str
    advice: str = ""
    reference: str = ""
    findings: tuple[Finding, ...] = ()


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a step came to. `facts` are figures for the reader, by name; `files` the digests of what it wrote."""

    step: str
    checks: tuple[Check, ...] = ()
    facts: dict[str, str | int | float | None] = {}
    files: dict[str, str] = {}

    @property
    def passed(self) -> bool:
        return all(check.verdict != "fail" for check in self.checks)
