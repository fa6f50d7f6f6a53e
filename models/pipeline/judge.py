"""From a measured figure to a check: passed, or failed with what a person should do."""

import math

from models.pipeline.check import Check, Finding


def judge(
    name: str,
    good: bool,
    *,
    found: str,
    limit: str,
    advice: str,
    reference: str = "",
    findings: tuple[Finding, ...] = (),
) -> Check:
    """Return the check; `advice` is kept where it is not `good`."""
    return Check(
        name=name,
        verdict="pass" if good else "fail",
        found=found,
        limit=limit,
        advice="" if good else advice,
        reference=reference,
        findings=findings,
    )


def rounded(value: float) -> float | None:
    """Return a figure to four places for a report, None where it is not defined.

    >>> rounded(0.123456), rounded(math.nan)
    (0.1235, None)
    """
    return None if math.isnan(value) else round(float(value), 4)
